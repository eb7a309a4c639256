#!/bin/sh
# Installs mobilenet-edge on a Raspberry Pi, a Jetson or a PC: into .venv beside this script, and nowhere else.
# System packages are installed only where they are missing, with apt-get, and the plan names them first.
#
# For tests: MNE_ROOT is a folder that stands in for / where this script reads what board and system it is on.
set -eu

usage() {
    cat <<'USAGE'
Usage: ./install.sh [OPTION...]

Installs the runtime and the live page into .venv beside this script, and checks that they work.

  --demo     then measure the demo variants, choose one for 30 frames a second, and classify the camera
  --test     also install what developing needs, and run the tests
  --dry-run  print the plan and change nothing
  --yes      ask nothing
  --help     print this

Example: ./install.sh --demo
USAGE
}

say() { printf '%s\n' "$*"; }

die() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

main() {
    parse_options "$@"
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    venv=$here/.venv
    log=$venv/install.log
    [ -f "$here/pyproject.toml" ] || die "There is no pyproject.toml in $here: expected the project's folder around me."
    cd -- "$here"

    detect_machine
    detect_python
    choose_packages
    print_plan
    [ "$dry_run" = no ] || exit 0

    confirm
    install_system_packages
    if ! is_installed; then
        make_environment
        install_packages
    fi
    run_afterwards
}

# --- options ---------------------------------------------------------------------------------------------------------

parse_options() {
    demo=no test=no dry_run=no yes=no
    for option in "$@"; do
        case $option in
            --demo) demo=yes ;;
            --test) test=yes ;;
            --dry-run) dry_run=yes ;;
            --yes | -y) yes=yes ;;
            --help | -h) usage && exit 0 ;;
            *)
                say "install.sh: There is no option '$option': see ./install.sh --help." >&2
                exit 2
                ;;
        esac
    done
}

# --- what is here ----------------------------------------------------------------------------------------------------

# Files are tested with -f and then opened: an emulated board does not show its own to test -r, ls or stat.
contents() {
    if [ -f "${MNE_ROOT:-}/$1" ]; then tr -d '\000' <"${MNE_ROOT:-}/$1"; fi
}

detect_machine() {
    machine=$(uname -m)
    board=$(contents proc/device-tree/model)
    [ -n "$board" ] || board=$(contents sys/class/dmi/id/product_name)
    system=$(contents etc/os-release | sed -n 's/^PRETTY_NAME=//p' | tr -d \"\')
    l4t=$(contents etc/nv_tegra_release | sed -n 's/.*R\([0-9][0-9]*\) (release), REVISION: \([0-9.]*\).*/\1.\2/p' | head -n 1)

    is_jetson=no
    case $board in *Jetson*) is_jetson=yes ;; esac
    [ -z "$l4t" ] || is_jetson=yes
    if [ -n "$l4t" ] && [ "${l4t%%.*}" -lt 36 ]; then
        die "Jetson Linux $l4t is too old: JetPack 5 and older carry Python 3.8 or older. Update to JetPack 6.1 or newer."
    fi

    has_screen=no
    [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || has_screen=yes
    has_nvidia_gpu=no
    [ ! -f "${MNE_ROOT:-}/proc/driver/nvidia/version" ] || has_nvidia_gpu=yes
}

# Prints: minor version, pointer bits, whether it makes environments, which system packages it sees, the major
# version of its NumPy, and the interpreter itself, which in an active environment is the one below it.
PROBE='
import importlib.util, struct, sys

def has(name):
    return "yes" if importlib.util.find_spec(name) else "no"

try:
    from importlib.metadata import version
    numpy = version("numpy").split(".")[0]
except Exception:
    numpy = "none"
base = getattr(sys, "_base_executable", "") or sys.executable
print(sys.version_info[1], struct.calcsize("P") * 8, has("ensurepip"), has("picamera2"), has("tensorrt"), has("cv2"), numpy, base)
'

# The system's python3 if it will do, for it sees the system's packages; else the newest that will.
detect_python() {
    python='' missing='' newest=''
    for name in python3 python3.13 python3.12 python3.11 python3.10; do
        if ! { probe_python "$name" && probe_python "$probed"; }; then continue; fi
        newest=${newest:-3.$minor}
        [ "$minor" -ge 10 ] || continue
        if [ "$makes_environments" = yes ]; then
            python=$probed missing=''
            return
        fi
        missing=${missing:-$name-venv}
    done
    if [ -n "$missing" ]; then
        probe_python "${missing%-venv}"
        python=$probed
    elif [ -n "$newest" ]; then
        die "Python $newest is too old: expected 3.10 or newer, as Raspberry Pi OS Bookworm and Ubuntu 22.04 have."
    else
        missing='python3 python3-venv'
        minor='' bits=64 has_picamera2=no has_tensorrt=no has_cv2=no numpy=none
    fi
    command -v apt-get >/dev/null ||
        die "Python 3.10 or newer with venv is missing, and there is no apt-get to install it: install $missing."
}

probe_python() {
    told=$("$1" -I -c "$PROBE" 2>/dev/null </dev/null) || return 1
    read -r minor bits makes_environments has_picamera2 has_tensorrt has_cv2 numpy probed <<TOLD
$told
TOLD
    [ -n "$probed" ]
}

# --- what to install -------------------------------------------------------------------------------------------------

choose_packages() {
    case $bits-$machine in
        64-x86_64 | 64-aarch64 | 64-arm64) extras=litert ;;
        32-armv7l | 32-armv8l | 32-aarch64)
            [ "$minor" -le 11 ] ||
                die "Python 3.$minor here is 32-bit (kernel: $machine), and no LiteRT runtime has 32-bit wheels for it" \
                    "(tflite-runtime: up to Python 3.11). Install the 64-bit operating system."
            extras=tflite-runtime
            ;;
        *) die "LiteRT has no wheels for this machine ($machine, $bits-bit Python): expected a 64-bit Arm or x86 system." ;;
    esac

    shared=''
    if [ "$has_picamera2" = yes ]; then shared='picamera2'; fi
    if [ "$is_jetson" = yes ] && [ "$has_tensorrt" = yes ]; then shared="${shared:+$shared, }TensorRT"; fi
    if [ "$is_jetson" = yes ] && [ "$has_cv2" = yes ]; then
        shared="${shared:+$shared, }OpenCV with GStreamer" opencv=''
    elif [ "$has_screen" = yes ] || has_wheel opencv_python; then
        opencv=desktop
    else
        opencv=headless
    fi
    extras=$extras${opencv:+,$opencv},live
    [ "$test" = no ] || extras=$extras,convert,onnx,demo,dev

    # What the system built against NumPy 1 breaks when pip puts NumPy 2 before it.
    keeps_numpy=no
    if [ -n "$shared" ] && [ "$numpy" = 1 ]; then keeps_numpy=yes; fi
    constraints=''
    if [ "$test" = yes ] && [ "$has_nvidia_gpu" = no ]; then constraints=scripts/constraints.txt; fi

    kind=runtime needed_mb=1000
    [ "$test" = no ] || kind=test needed_mb=3000
    # Programs that tests run against; without one, its tests are skipped.
    tools=''
    [ "$test" = no ] || for tool in shellcheck mosquitto chromium chromedriver; do
        PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || tools="${tools:+$tools }$(package_of "$tool")"
    done
}

package_of() {
    case $1 in chromedriver) say chromium-driver ;; *) say "$1" ;; esac
}

has_wheel() {
    for info in "$venv"/lib/python3*/site-packages/"$1"-[0-9]*.dist-info; do
        [ ! -d "$info" ] || return 0
    done
    return 1
}

# Everything that decides what .venv holds; the stamp of a finished installation says the same.
fingerprint() {
    { say "$here 3.$minor $extras $keeps_numpy $shared" && cat pyproject.toml ${constraints:+"$constraints"}; } | sha256sum
}

is_installed() {
    [ -f "$venv/bin/edge" ] && [ -f "$venv/.installed-$kind" ] && [ "$(cat "$venv/.installed-$kind")" = "$(fingerprint)" ]
}

# Whether .venv is of this Python, stands where it was made, and is complete enough for pip to go on.
is_environment_sound() {
    [ -f "$venv/bin/activate" ] && grep -qF "$venv" "$venv/bin/activate" && [ -d "$venv/lib/python3.$minor" ] &&
        "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

# --- the plan --------------------------------------------------------------------------------------------------------

print_plan() {
    say "mobilenet-edge on ${board:-this machine}"
    say "  system  ${system:-unknown}, $machine${l4t:+, Jetson Linux $l4t}"
    say "  python  ${python:-to be installed}${minor:+ (3.$minor, $bits-bit)}"
    say "  screen  $has_screen"
    say "Plan:"
    number=0
    [ -z "$missing" ] || step "$(sudo_prefix)apt-get install $missing"
    [ -z "$tools" ] || ! is_root || step "apt-get install $tools (optional)"
    if [ -z "$missing" ] && is_installed; then
        step "keep .venv: it is up to date"
    else
        verb='make'
        if [ -d "$venv" ]; then
            verb='make again'
            ! is_environment_sound || verb='complete'
        fi
        step "$verb the environment .venv${shared:+ with --system-site-packages, to see $shared}"
        step "pip install $(pip_arguments)"
        [ "$test" = no ] || step "pip install tflite-runtime into .venv/tflite-runtime, for compatibility tests (optional)"
        [ "$test" = no ] || step "pip install timm into .venv/timm, for the tests of checkpoints (optional)"
    fi
    [ "$test" = no ] || step "run the tests: scripts/test"
    [ "$demo" = no ] || step "run the demo: .venv/bin/edge doctor, profile and select, then .venv/bin/camera-demo"
    [ "$test$demo" != nono ] || step "check that it works: .venv/bin/edge doctor"
    if is_root && [ -n "${SUDO_USER:-}" ]; then
        say "Note: started with sudo, so .venv will belong to root. Without sudo it is yours; apt-get asks where it must."
    fi
}

step() {
    number=$((number + 1))
    say "  $number. $*"
}

pip_arguments() {
    printf '%s' "--editable .[$extras]${constraints:+ --constraint $constraints}"
    [ "$keeps_numpy" = no ] || printf '%s' " 'numpy<2', because the system's packages were built for NumPy 1"
}

is_root() { [ "$(id -u)" = 0 ]; }

sudo_prefix() { is_root || printf 'sudo '; }

# Asks only before the system itself is changed, and only where somebody can answer.
confirm() {
    [ -n "$missing" ] && [ "$yes" = no ] && [ -t 0 ] || return 0
    printf 'Go on? [Y/n] '
    read -r answer || answer=n
    case $answer in '' | [Yy]*) ;; *) die "Stopped; nothing was changed." ;; esac
}

# --- installing ------------------------------------------------------------------------------------------------------

install_system_packages() {
    if [ -n "$missing" ]; then
        say "Installing $missing ..."
        # shellcheck disable=SC2086  # $missing is a list of words
        apt_install $missing || die "apt-get could not install $missing: see above."
        detect_python
        [ -z "$missing" ] || die "apt-get installed no Python that can make environments: expected 3.10 or newer with venv."
        choose_packages
    fi
    if [ -n "$tools" ] && is_root && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086  # $tools is a list of words
        apt_install $tools >/dev/null 2>&1 || say "Note: $tools could not be installed; their tests will be skipped."
    fi
}

apt_install() {
    as_root apt-get -qq update || say "Note: apt-get update failed; trying with the lists that are here."
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@" </dev/null
}

as_root() {
    if is_root; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "$missing is missing and there is no sudo: run as root: apt-get install $missing."
    fi
}

make_environment() {
    [ ! -e "$venv" ] || [ -d "$venv" ] || die "$venv is a file: expected a folder, or a name that is free."
    [ -w "$here" ] || die "Cannot write in $here: choose a folder that is yours."
    free_mb=$(df -Pk "$here" 2>/dev/null | awk 'NR == 2 { print int($4 / 1000) }') || free_mb=''
    [ "${free_mb:-$needed_mb}" -ge "$needed_mb" ] || [ -d "$venv" ] ||
        die "Only $free_mb MB are free in $here: expected at least $needed_mb MB. Remove what you no longer need."

    is_environment_sound || rm -rf "$venv"
    { mkdir -p "$venv" && : >"$log"; } || die "Cannot write in $venv: see above."
    rm -f "$venv"/.installed-*
    say "Preparing .venv ..."
    # On an environment that stands, this only sets whether it sees the system's packages.
    # shellcheck disable=SC2086  # the option is one word or none
    "$python" -m venv ${shared:+--system-site-packages} "$venv" >>"$log" 2>&1 || fail "Cannot make the environment $venv"
}

install_packages() {
    say "Installing packages (a few minutes the first time; log: .venv/install.log) ..."
    [ "$opencv" = desktop ] || drop_wheel opencv_python
    [ "$opencv" = headless ] || drop_wheel opencv_python_headless
    set -- --editable ".[$extras]"
    [ "$keeps_numpy" = no ] || set -- "$@" 'numpy<2'
    [ -z "$constraints" ] || set -- "$@" --constraint "$constraints"
    pip install "$@" || fail "pip could not install the packages"
    [ "$test" = no ] || install_second_runtime
    [ "$test" = no ] || install_timm
    fingerprint >"$venv/.installed-$kind"
}

pip() {
    command=$1
    shift
    "$venv/bin/python" -m pip "$command" --disable-pip-version-check --no-input "$@" >>"$log" 2>&1 </dev/null
}

# The two OpenCV wheels write the same files, and either hides the system's OpenCV.
drop_wheel() {
    if has_wheel "$1"; then pip uninstall --yes "$1" || fail "pip could not remove $1"; fi
}

# tflite-runtime has other kernels and wants NumPy 1, so it gets a folder of its own.
install_second_runtime() {
    [ "$minor" -le 11 ] && [ "$bits" = 64 ] && [ ! -d "$venv/tflite-runtime/tflite_runtime" ] || return 0
    rm -rf "$venv/tflite-runtime"
    if ! pip install --only-binary :all: --target "$venv/tflite-runtime" 'tflite-runtime==2.14.0' 'numpy<2'; then
        rm -rf "$venv/tflite-runtime"
        say "Note: tflite-runtime could not be installed; its tests will be skipped."
    fi
}

# timm asks for torchvision, which asks for another torch; its networks need neither.
install_timm() {
    [ ! -d "$venv/timm/timm" ] || return 0
    if ! pip install --no-deps --target "$venv/timm" 'timm==1.0.31'; then
        rm -rf "$venv/timm"
        say "Note: timm could not be installed; its tests will be skipped."
    fi
}

NETWORK_ERRORS='NewConnectionError|NameResolutionError|ConnectTimeout|Max retries exceeded|Network is unreachable|Read timed out'

# Ends with the log's last lines and, in one line, what they mean.
fail() {
    tail -n 15 "$log" >&2
    if grep -q 'No space left' "$log"; then
        die "$1: the disk is full. Remove what you no longer need and run ./install.sh again."
    elif grep -qE "$NETWORK_ERRORS" "$log"; then
        die "$1: the network cannot be reached. Connect this machine and run ./install.sh again; it goes on where it stopped."
    elif grep -q 'No matching distribution' "$log"; then
        die "$1: a package has no version for Python 3.$minor on $machine. The log names it: $log"
    fi
    die "$1: see above, and the whole log in $log."
}

# --- afterwards ------------------------------------------------------------------------------------------------------

run_afterwards() {
    [ "$test" = no ] || run_tests
    [ "$demo" = no ] || run_demo
    [ "$test$demo" != nono ] || run_self_test
}

run_self_test() {
    .venv/bin/edge doctor || die "The self-test found a problem: see above."
    say "Ready. Next: .venv/bin/edge profile --bundle demo, then .venv/bin/camera-demo --bundle demo --fps 30"
}

run_tests() {
    say "Running the tests ..."
    if sh scripts/test >"$venv/test.log" 2>&1 </dev/null; then
        tail -n 1 "$venv/test.log"
    else
        cat "$venv/test.log" >&2
        die "The tests failed: see above."
    fi
}

run_demo() {
    .venv/bin/edge doctor || true
    .venv/bin/edge profile --bundle demo
    .venv/bin/edge select --bundle demo --fps 30
    .venv/bin/camera-demo --bundle demo --fps 30 --headless
}

main "$@"
