# Installs Debian packages where that is possible; to be sourced.

# install_packages REASON PACKAGE...: installs, or says the one line that does and fails.
install_packages() {
    reason=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "lacuna: $reason: installing $*" >&2
        if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null 2>&1 ||
            { apt-get update -qq > /dev/null 2>&1 &&
                DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" > /dev/null 2>&1; }; then
            return 0
        fi
    fi
    echo "lacuna: $reason. Install with: sudo apt-get install -y $*" >&2
    return 1
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
