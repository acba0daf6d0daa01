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
