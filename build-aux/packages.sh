# Installs Debian packages where that is possible; to be sourced.

# install_packages REASON PACKAGE...: installs, or says the one line that does and fails.
install_packages() {
    reason=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "lacuna: $reason: installing $*" >&2
        log=$(mktemp)
        if apt_install "$@" > "$log" 2>&1 || { apt-get update -qq > "$log" 2>&1 && apt_install "$@" >> "$log" 2>&1; }; then
            rm -f "$log"
            return 0
        fi
        tail -n 20 "$log" >&2
        rm -f "$log"
    fi
    echo "lacuna: $reason. Install with: sudo apt-get update && sudo apt-get install -y $*" >&2
    return 1
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# jdk_of JAVA: prints this java command, without links, if its JDK is complete and new enough.
jdk_of() {
    found=$(readlink -f "$1") && [ -x "$found" ] && [ -x "${found%/*}/javac" ] || return 1
    version=$("$found" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 17 ] && echo "$found"
}

# find_jdk: prints the java command of the JDK to use: that of JAVA_HOME, or the first there is; fails with a line about JAVA_HOME
# alone.
find_jdk() {
    if [ -n "${JAVA_HOME:-}" ]; then
        jdk_of "$JAVA_HOME/bin/java" ||
            { echo "lacuna: JAVA_HOME=$JAVA_HOME is no JDK of version 17 or later; unset it, or name another" >&2; return 1; }
        return
    fi
    for java in "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
        jdk_of "$java" && return
    done
    return 1
}

# use_jdk: sets java and JAVA_HOME, and installs Maven and a JDK where they are missing.
use_jdk() {
    needed=
    command -v mvn > /dev/null || needed=maven
    java=$(find_jdk) || {
        [ -z "${JAVA_HOME:-}" ] || return 1
        needed="$needed $(jdk_package)"
    }
    if [ -n "$needed" ]; then
        # shellcheck disable=SC2086 # the packages are words
        install_packages "Lacuna is built by Maven and a JDK, version 17 or later" $needed || return 1
        java=$(find_jdk) || return 1
    fi
    JAVA_HOME=${java%/bin/java}
    export JAVA_HOME
}

# jdk_package: prints the oldest JDK from 17 on that this distribution has; no release has all of them.
jdk_package() {
    for round in 1 2; do
        for version in 17 21 25; do
            if apt-cache show openjdk-$version-jdk-headless > /dev/null 2>&1; then
                echo openjdk-$version-jdk-headless
                return
            fi
        done
        # A machine that was never asked before knows no packages at all.
        [ "$round" = 1 ] && [ "$(id -u)" = 0 ] && apt-get update -qq > /dev/null 2>&1 || break
    done
    echo default-jdk-headless
}
