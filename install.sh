#!/bin/sh
# Installs buddies for this user: with uv, else pipx, else in a virtual environment of its own.
# Run it again to update. It never needs root, and changes nothing outside the home directory.
set -eu

main() {
    source=${BUDDIES_SOURCE:-}
    by=${BUDDIES_INSTALLER:-}
    setup=ask
    uninstall=
    keep_data=
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) usage; exit 0 ;;
            --all) setup=all ;;
            --no-setup) setup=none ;;
            --from) [ $# -gt 1 ] || misuse "--from needs a value"; source=$2; shift ;;
            --from=*) source=${1#--from=} ;;
            --uninstall) uninstall=yes ;;
            --keep-data) keep_data=--keep-data ;;
            *) misuse "$1 is not an option" ;;
        esac
        shift
    done
    [ -z "$keep_data" ] || [ -n "$uninstall" ] || misuse "--keep-data goes with --uninstall"
    [ -n "${HOME:-}" ] || fail "HOME is not set; set it to your home directory"
    case $(uname -s) in
        Linux | Darwin) ;;
        *) fail "buddies runs on Linux and macOS; this is $(uname -s)" ;;
    esac
    # The private environment, where neither uv nor pipx is there.
    venv=${XDG_DATA_HOME:-$HOME/.local/share}/buddies-program
    links=$HOME/.local/bin

    if [ -n "$uninstall" ]; then
        uninstall
    else
        install
    fi
}

usage() {
    cat <<'END'
usage: install.sh [--all] [--no-setup] [--from SOURCE]
       install.sh --uninstall [--keep-data]

Installs buddies for this user, finds the key that you sign with, and configures the MCP clients that
it finds. It asks before it changes a client's configuration. Run it again to update buddies.

  --all            configure every client that is found, without asking
  --no-setup       configure no client; do it later with: buddies-cli setup
  --from SOURCE    the source, in a form that pip accepts: a directory, a wheel, a URL or a name.
                   Default: BUDDIES_SOURCE, else the directory of this script
  --uninstall      stop the daemon, and remove buddies from every client's configuration, its
                   data and the program; list everything that stays
  --keep-data      keep rooms, memories, keys and settings
  --help           show this text

It uses uv, else pipx, else python3 (3.11 or newer) with a virtual environment in
~/.local/share/buddies-program; BUDDIES_INSTALLER=uv, pipx or venv chooses one of them.
END
}

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
misuse() { printf 'error: %s; see install.sh --help\n' "$*" >&2; exit 2; }
has() { command -v "$1" >/dev/null 2>&1; }

install() {
    [ -n "$source" ] || source=$(beside_this_script)
    [ -n "$source" ] || fail "there is nothing to install beside this script; name a source: install.sh --from SOURCE"
    [ -n "$by" ] || by=$(best_installer)
    say "Installing buddies from $source with $by ..."
    case $by in
        uv) with_uv ;;
        pipx) with_pipx ;;
        venv) with_venv ;;
        *) misuse "BUDDIES_INSTALLER is $by, not uv, pipx or venv" ;;
    esac
    cli=$bin/buddies-cli
    [ -x "$cli" ] || fail "$by reported no error, but there is no $cli"
    say "Installed $("$cli" --version) in $bin."
    case :$PATH: in
        *:"$bin":*) ;;
        *)
            say "$bin is not on your PATH; add this to your shell's profile:"
            say "  export PATH=\"$bin:\$PATH\""
            PATH=$bin:$PATH
            export PATH
            ;;
    esac
    "$cli" setup identity --yes || say "To choose a key later: buddies-cli setup identity"
    configure
}

configure() {
    if [ "$setup" = none ]; then
        say "To configure your clients: buddies-cli setup"
    elif [ "$setup" = all ]; then
        "$cli" setup --all
    elif [ -t 0 ]; then
        "$cli" setup
    elif [ -t 1 ] && (: </dev/tty) 2>/dev/null; then # the script itself came in by stdin
        "$cli" setup </dev/tty
    else
        "$cli" setup --dry-run
        say "Nobody is here to answer, so no client was changed. To change them: buddies-cli setup"
    fi
}

beside_this_script() {
    # If the script comes from stdin, there is no such file: $0 is the shell.
    [ -f "$0" ] || return 0
    directory=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    if grep -qs '^name = "buddies"' "$directory/pyproject.toml"; then say "$directory"; fi
}

best_installer() {
    if has uv; then say uv; elif has pipx; then say pipx; else say venv; fi
}

with_uv() {
    uv tool install --quiet --upgrade --reinstall-package buddies "$source"
    bin=$(uv tool dir --bin)
}

with_pipx() {
    pipx install --quiet --force "$source"
    bin=$(pipx environment --value PIPX_BIN_DIR)
}

with_venv() {
    python=$(good_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed: install it, or install uv, which brings one"
    for program in buddies buddies-cli buddies-core; do
        link=$links/$program
        if [ -e "$link" ] || [ -L "$link" ]; then
            [ "$(readlink "$link" || true)" = "$venv/bin/$program" ] ||
                fail "$link is there and is not ours; move it away, then try again"
        fi
    done
    "$python" -m venv "$venv" ||
        fail "$python can't make a virtual environment; install python3-venv, or uv"
    # The uninstaller removes a directory only if this is in it.
    say "made by buddies' install.sh" >"$venv/made-by-buddies"
    # shellcheck disable=SC2086 # several words
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade \
        ${BUDDIES_PIP_OPTIONS:-} "$source"
    mkdir -p "$links"
    for program in buddies buddies-cli buddies-core; do
        ln -sf "$venv/bin/$program" "$links/$program"
    done
    bin=$links
}

good_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11; do
        if has "$python" && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

uninstall() {
    for cli in "$links/buddies-cli" "$(uv_bin)/buddies-cli" "$(command -v buddies-cli || true)"; do
        if [ -x "$cli" ]; then
            # shellcheck disable=SC2086 # none or one word
            exec "$cli" uninstall --yes $keep_data
        fi
    done
    say "buddies is not installed for this user: no buddies-cli in $links or on the PATH."
}

uv_bin() { if has uv; then uv tool dir --bin 2>/dev/null || true; fi; }

# Nothing runs before all of the script has arrived.
main "$@"
