#!/bin/sh
# Installs mobilenet-edge on a Raspberry Pi, a Jetson or a PC: into .venv beside this script, and nowhere else.
# System packages are installed only where they are missing, with apt-get, and the plan names them first.
#
# The folder holds environments by number. Its link "current" names the one in use; bin, lib and pyvenv.cfg lead through
# it. A new environment is made beside the old one, and the link is switched once it is whole: what a cut leaves behind
# is either the old installation or the new one, and the next run clears away the rest.
#
# For tests: MNE_ROOT is a folder that stands in for / where this script reads what board and system it is on.
set -eu

usage() {
    cat <<'USAGE'
Usage: ./install.sh [OPTION...]

Installs the runtime into .venv beside this script, and checks that it works.

  --with PART          also what PART needs: live (web page, MQTT), convert (torch), plot (profiles as pictures),
                       signing (signed bundles), or dev (the tests, and all else)
  --prefix DIR         install into DIR, apart from this folder, which may then be removed
  --demo               then measure the demo variants, choose one for 30 frames a second, and classify the camera
  --test               install with dev, and run the tests
  --service            install for all users and start the live camera as a service: see scripts/install-service
  --uninstall          remove what was installed, and what it measured and built
  --purge              with --uninstall: remove the weights that were fetched as well
  --offline DIR        take packages from DIR alone, made by --make-wheelhouse
  --make-wheelhouse TARGET DIR
                       put the packages for another board into DIR: pi-bookworm, pi-trixie, jetpack6 or jetpack7
  --cuda               torch with CUDA, some gigabytes, though there is no NVIDIA GPU here
  --dry-run            print the plan and change nothing
  --yes                ask nothing
  --help               print this

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
    ignore_environment
    umask 022
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    [ -f "$here/pyproject.toml" ] || die "There is no pyproject.toml in $here: expected the project's folder around me."
    [ "$service" = no ] || run_service_installer
    find_places

    if [ "$uninstall" = yes ]; then uninstall; fi
    detect_machine
    detect_python
    if [ -n "$target" ]; then make_wheelhouse; fi
    refuse_old_jetpack
    choose_packages
    check_wheelhouse
    print_plan
    [ "$dry_run" = no ] || exit 0

    confirm
    install_system_packages
    open_prefix
    install_environment
    run_afterwards
}

# Variables that would send packages elsewhere, or lend Python modules from elsewhere, do not count here; how to reach
# an index does.
ignore_environment() {
    unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONINSPECT VIRTUAL_ENV
    for name in $(export -p | sed -n 's/^.* \(PIP_[A-Z0-9_]*\)=.*/\1/p'); do
        case ${name#PIP_} in
            INDEX_URL | EXTRA_INDEX_URL | FIND_LINKS | TRUSTED_HOST | CERT | CLIENT_CERT | PROXY | KEYRING_PROVIDER) ;;
            TIMEOUT | DEFAULT_TIMEOUT | RETRIES | CACHE_DIR | NO_CACHE_DIR | CONFIG_FILE) ;;
            *) unset "$name" ;;
        esac
    done
}

# --- options ---------------------------------------------------------------------------------------------------------

parse_options() {
    demo=no test=no dry_run=no yes=no service=no uninstall=no purge=no cuda=no
    parts='' prefix='' wheelhouse='' target='' wheelhouse_out=''
    while [ $# -gt 0 ]; do
        option=$1
        shift
        case $option in
            --with=* | --prefix=* | --offline=*)
                set -- "${option#*=}" "$@"
                option=${option%%=*}
                ;;
        esac
        case $option in
            --demo) demo=yes ;;
            --test) test=yes && add_parts dev ;;
            --dry-run) dry_run=yes ;;
            --yes | -y) yes=yes ;;
            --service) service=yes ;;
            --uninstall) uninstall=yes ;;
            --purge) purge=yes ;;
            --cuda) cuda=yes ;;
            --with) need_value "$option" "${1:-}" && add_parts "$1" && shift ;;
            --prefix) need_value "$option" "${1:-}" && prefix=$1 && shift ;;
            --offline) need_value "$option" "${1:-}" && wheelhouse=$1 && shift ;;
            --make-wheelhouse)
                need_value "$option TARGET" "${1:-}" && need_value "$option $1" "${2:-}"
                target=$1 wheelhouse_out=$2
                shift 2
                ;;
            --help | -h) usage && exit 0 ;;
            *) misused "There is no option '$option': see ./install.sh --help." ;;
        esac
    done
    [ "$test" = no ] || [ -z "$prefix" ] || misused "--test runs in .venv: leave --prefix out."
    [ -z "$target" ] || [ -z "$wheelhouse" ] || misused "--make-wheelhouse needs the network: leave --offline out."
}

misused() {
    say "install.sh: $*" >&2
    exit 2
}

need_value() {
    case $2 in '' | --*) misused "$1 needs a value: see ./install.sh --help." ;; esac
}

# Adds parts, a list with commas, to $parts, each once.
add_parts() {
    for part in $(say "$1" | tr , ' '); do
        case $part in
            live | convert | plot | signing | dev) ;;
            *) misused "There is no part '$part': expected live, convert, plot, signing or dev." ;;
        esac
        has_part "$part" || parts="${parts:+$parts }$part"
    done
}

has_part() {
    case " $parts " in *" $1 "*) ;; *) return 1 ;; esac
}

# Turns relative paths into absolute ones; $shown is how the plan names the prefix.
find_places() {
    shown=$prefix
    [ -n "$prefix" ] || shown=.venv
    [ -z "$wheelhouse" ] || wheelhouse=$(absolute "$wheelhouse")
    [ -z "$wheelhouse_out" ] || wheelhouse_out=$(absolute "$wheelhouse_out")
    is_editable=no
    if [ -z "$prefix" ]; then prefix=$here/.venv is_editable=yes; else prefix=$(absolute "$prefix"); fi
    log=$prefix/install.log
    cd -- "$here"
    [ ! -f "$prefix/current/.installed" ] || add_parts "$(sed -n 2p "$prefix/current/.installed")"
}

absolute() {
    case $1 in
        / | . | .. | */.. | */.) misused "$1 cannot be installed into: name a folder of its own." ;;
        /*) say "${1%/}" ;;
        *) say "$PWD/${1%/}" ;;
    esac
}

# --- what is here ----------------------------------------------------------------------------------------------------

# Files are tested with -f and then opened: an emulated board does not show its own to test -r, ls or stat.
contents() {
    if [ -f "${MNE_ROOT:-}/$1" ]; then tr -d '\000' <"${MNE_ROOT:-}/$1"; fi
}

detect_machine() {
    kernel=$(uname -s)
    machine=$(uname -m)
    board=$(contents proc/device-tree/model)
    [ -n "$board" ] || board=$(contents sys/class/dmi/id/product_name)
    system=$(contents etc/os-release | sed -n 's/^PRETTY_NAME=//p' | tr -d \"\')
    memory_mb=$(meminfo_mb MemTotal) swap_mb=$(meminfo_mb SwapTotal)
    if [ "$kernel" = Darwin ]; then
        board=$(sysctl -n hw.model) system="macOS $(sw_vers -productVersion)"
        memory_mb=$(($(sysctl -n hw.memsize) / 1000000)) swap_mb=''
    fi
    is_pi=no
    case $board in 'Raspberry Pi'*) is_pi=yes ;; esac
    detect_jetson

    has_screen=no
    [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] || has_screen=yes
    has_nvidia_gpu=no
    [ ! -f "${MNE_ROOT:-}/proc/driver/nvidia/version" ] || has_nvidia_gpu=yes
    has_libgl=no
    for library in "${MNE_ROOT:-}"/usr/lib/*/libGL.so.1 "${MNE_ROOT:-}"/usr/lib/libGL.so.1; do
        [ ! -e "$library" ] || has_libgl=yes
    done
    video_nodes=0
    for node in "${MNE_ROOT:-}"/dev/video[0-9]*; do
        [ ! -e "$node" ] || video_nodes=$((video_nodes + 1))
    done
}

meminfo_mb() {
    contents proc/meminfo | sed -n "s/^$1: *\([0-9][0-9]*\) kB\$/\1/p" | awk '{ printf "%d", $1 * 1024 / 1000000 + 0.5 }'
}

free_mb() {
    folder=$1
    while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
    df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print int($4 * 1.024 / 1000) }'
}

detect_jetson() {
    l4t=$(contents etc/nv_tegra_release | sed -n 's/.*R\([0-9][0-9]*\) (release), REVISION: \([0-9.]*\).*/\1.\2/p' | head -n 1)
    is_jetson=no jetpack='' power_mode=''
    case $board in *Jetson*) is_jetson=yes ;; esac
    [ -z "$l4t" ] || is_jetson=yes
    [ "$is_jetson" = yes ] || return 0
    jetpack=$(jetpack_of "$l4t")
    power_mode=$(nvpmodel -q 2>/dev/null | sed -n 's/^NV Power Mode: *//p' | head -n 1) || power_mode=''
}

# By range, since every table of exact versions is out of date at some time; a version that is not known gets no name.
jetpack_of() {
    case $1 in
        32.*) say 'JetPack 4' ;;
        34.* | 35.*) say 'JetPack 5' ;;
        36.[0-3] | 36.[0-3].*) say 'JetPack 6.0' ;;
        36.*) say 'JetPack 6.1 or 6.2' ;;
        38.*) say 'JetPack 7.0 or 7.1' ;;
        39.*) say 'JetPack 7.2' ;;
    esac
}

refuse_old_jetpack() {
    case $jetpack-$board in
        'JetPack 6.0'-*)
            die "Jetson Linux $l4t (JetPack 6.0) is too old: expected JetPack 6.1 or newer. From 6.0 apt-get can update:" \
                "put r36.4 into /etc/apt/sources.list.d/nvidia-l4t-apt-source.list, then sudo apt-get update and" \
                "sudo apt-get dist-upgrade."
            ;;
        'JetPack 4'-*Orin* | 'JetPack 5'-*Orin*)
            die "Jetson Linux $l4t is too old: JetPack 5 and older carry Python 3.8 or older. Update to JetPack 6.1 or newer."
            ;;
        'JetPack 4'-* | 'JetPack 5'-*)
            die "Jetson Linux $l4t is too old: JetPack 5 and older carry Python 3.8 or older, and this board gets no newer" \
                "one. A bundle's .tflite files run there in a program of your own, with tflite-runtime 2.13 or older."
            ;;
    esac
}

# Prints: minor version, pointer bits, whether it makes environments, which of the system's packages it sees, each with
# its version, and the interpreter itself, which in an active environment is the one below it.
PROBE='
import importlib.util, struct, sys

def has(name):
    if importlib.util.find_spec(name) is None:
        return "no"
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return "yes"

base = getattr(sys, "_base_executable", "") or sys.executable
names = ("picamera2", "tensorrt", "cv2", "numpy", "psutil")
makes = "yes" if importlib.util.find_spec("ensurepip") else "no"
print(sys.version_info[1], struct.calcsize("P") * 8, makes, *map(has, names), base)
'

# The system's python3 if it will do, for it sees the system's packages; else the newest that will.
detect_python() {
    python='' missing='' newest=''
    for name in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
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
        refuse_old_jetpack
        die "Python $newest is too old: expected 3.10 or newer, as Raspberry Pi OS Bookworm and Ubuntu 22.04 have."
    else
        missing='python3 python3-venv'
        minor='' bits=64 picamera2=no tensorrt=no cv2=no numpy=no psutil=no
    fi
    command -v apt-get >/dev/null ||
        die "Python 3.10 or newer with venv is missing, and there is no apt-get to install it: install $missing."
}

probe_python() {
    answer=$("$1" -I -c "$PROBE" 2>/dev/null </dev/null) || return 1
    read -r minor bits makes_environments picamera2 tensorrt cv2 numpy psutil probed <<ANSWER
$answer
ANSWER
    [ -n "$probed" ]
}

# --- what to install -------------------------------------------------------------------------------------------------

choose_packages() {
    choose_runtime
    choose_shared
    if has_part dev; then
        extras=$extras,live,convert,onnx,demo,dev
    else
        ! has_part live || extras=$extras,live
        ! has_part convert || extras=$extras,convert
        ! has_part plot || extras=$extras,plot
        ! has_part signing || extras=$extras,signing
    fi

    # What the system built against NumPy 1 breaks when pip puts NumPy 2 before it.
    keeps_numpy=no
    case $numpy in 1.*) [ -z "$shared" ] || keeps_numpy=yes ;; esac
    constraints='' torch=''
    if has_part dev || has_part convert; then
        torch=cuda
        if [ "$has_nvidia_gpu$cuda" = nono ] && [ "$kernel" = Linux ]; then
            torch=cpu constraints=scripts/constraints.txt
        fi
    fi

    needed_mb=500
    [ -z "$torch" ] || needed_mb=3000
    choose_tools
}

choose_runtime() {
    case $kernel-$bits-$machine in
        Linux-64-x86_64 | Linux-64-aarch64) extras=litert ;;
        Linux-32-armv7l | Linux-32-armv8l | Linux-32-aarch64) choose_32_bit_runtime ;;
        Darwin-64-arm64)
            has_part convert || has_part dev || die "On macOS this package only converts: ./install.sh --with convert."
            extras=litert
            ;;
        *) die "LiteRT has no wheels for this machine ($machine, $bits-bit Python): expected a 64-bit Arm or x86 system." ;;
    esac
}

# NumPy, OpenCV, psutil and matplotlib have no 32-bit wheels, so they come from the system.
choose_32_bit_runtime() {
    [ "$minor" -le 11 ] ||
        die "Python 3.$minor here is 32-bit (kernel: $machine), and no LiteRT runtime has 32-bit wheels for it" \
            "(tflite-runtime: up to Python 3.11). Install the 64-bit operating system."
    if has_part convert || has_part dev; then
        die "Python 3.$minor here is 32-bit, and torch has no 32-bit wheels: convert on a 64-bit machine."
    fi
    extras=tflite-runtime
    [ "$numpy" != no ] || missing="${missing:+$missing }python3-numpy"
    [ "$cv2" != no ] || missing="${missing:+$missing }python3-opencv"
    [ "$psutil" != no ] || missing="${missing:+$missing }python3-psutil"
    ! has_part plot || [ -e "${MNE_ROOT:-}/usr/lib/python3/dist-packages/matplotlib" ] ||
        missing="${missing:+$missing }python3-matplotlib"
}

# Which of the system's packages the environment must see, and so which OpenCV there is to install.
choose_shared() {
    shared='' opencv=headless
    [ "$has_screen" = no ] && ! has_wheel "$prefix" opencv_python || opencv=desktop
    [ "$picamera2" = no ] || shared=picamera2
    if [ "$is_jetson" = yes ]; then
        [ "$tensorrt" = no ] || shared="${shared:+$shared, }TensorRT"
        [ "$cv2" = no ] || shared="${shared:+$shared, }OpenCV with GStreamer" opencv=''
    elif [ "$bits" = 32 ]; then
        shared="${shared:+$shared, }NumPy, OpenCV, psutil" opencv=''
    fi
    [ -z "$opencv" ] || extras=$extras,$opencv
}

has_wheel() {
    for info in "$1"/lib/python3*/site-packages/"$2"-[0-9]*.dist-info; do
        [ ! -d "$info" ] || return 0
    done
    return 1
}

# Programs and libraries of the system that are good to have; without one, something is skipped or shown otherwise.
choose_tools() {
    tools=''
    if [ "$opencv" = desktop ] && [ "$has_libgl$kernel" = noLinux ]; then tools=libgl1; fi
    [ "$test" = yes ] || return 0
    for tool in shellcheck mosquitto chromium chromedriver gst-launch-1.0; do
        PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || tools="${tools:+$tools }$(packages_of "$tool")"
    done
    for library in "${MNE_ROOT:-}"/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib; do
        [ -e "$library" ] || tools="${tools:+$tools }gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good"
    done
}

packages_of() {
    case $1 in
        chromedriver) say chromium-driver ;;
        gst-launch-1.0) say gstreamer1.0-tools gstreamer1.0-plugins-base ;;
        *) say "$1" ;;
    esac
}

# Everything that decides what an environment holds; the stamp of a finished one says the same.
fingerprint() {
    { say "$prefix $here 3.$minor $extras $keeps_numpy $shared $torch" && sources_of_truth; } | cksum
}

sources_of_truth() {
    cat pyproject.toml ${constraints:+"$constraints"}
    # A copy is out of date as soon as its source changes.
    [ "$is_editable" = yes ] || find edge convert camera_demo profiles -type f ! -name '*.pyc' -exec cksum {} + | sort
}

is_installed() {
    [ -L "$prefix/bin" ] && [ -x "$prefix/bin/edge" ] && [ -f "$prefix/current/.installed" ] &&
        [ "$(sed -n 1p "$prefix/current/.installed")" = "$(fingerprint)" ]
}

# --- the plan --------------------------------------------------------------------------------------------------------

print_plan() {
    print_machine
    say "Plan:"
    number=0
    [ -z "$missing" ] || step "$(sudo_prefix)apt-get install $missing"
    [ -z "$tools" ] || ! is_root || step "apt-get install $tools (optional)"
    if [ -z "$missing" ] && is_installed; then
        step "keep $shown: it is up to date"
    else
        verb='make'
        [ ! -d "$prefix/bin" ] || verb='rebuild, beside the old one,'
        step "$verb the environment $shown${shared:+ with --system-site-packages, to see $shared}"
        [ "$torch" != cpu ] || [ -n "$wheelhouse" ] || step "pip install torch, its CPU build from $TORCH_INDEX if that answers"
        step "pip install $(pip_arguments)"
        ! wants_second_runtime || step "pip install tflite-runtime into $shown/tflite-runtime, for tests (optional)"
        ! has_part dev || step "pip install timm into $shown/timm, for tests (optional)"
    fi
    [ "$test" = no ] || step "run the tests: scripts/test"
    [ "$demo" = no ] || step "run the demo: $shown/bin/edge doctor, profile and select, then $shown/bin/camera-demo"
    [ "$test$demo" != nono ] || step "check that it works: $shown/bin/edge doctor"
    print_notes
}

print_machine() {
    say "mobilenet-edge on ${board:-this machine}"
    say "  system   ${system:-unknown}, $machine${l4t:+, Jetson Linux $l4t}${jetpack:+ ($jetpack)}"
    say "  python   ${python:-to be installed}${minor:+ (3.$minor, $bits-bit)}"
    [ -z "$memory_mb" ] || say "  memory   $memory_mb MB${swap_mb:+, $swap_mb MB swap}"
    say "  disk     $(free_mb "$prefix") MB free, $needed_mb MB needed"
    say "  screen   $has_screen"
    case $video_nodes in 0) seen='no video device' ;; 1) seen='1 video device' ;; *) seen="$video_nodes video devices" ;; esac
    say "  cameras  $seen$([ "$picamera2" = no ] || say ", picamera2")"
    own=''
    for name in numpy cv2 tensorrt picamera2; do
        eval "version=\$$name"
        # shellcheck disable=SC2154  # eval sets it
        case $version in no) ;; yes) own="${own:+$own, }$name" ;; *) own="${own:+$own, }$name $version" ;; esac
    done
    say "  system's ${own:-no numpy, cv2, tensorrt or picamera2}"
    [ -z "$power_mode" ] || say "  power    nvpmodel $power_mode"
}

print_notes() {
    if is_root && [ -n "${SUDO_USER:-}" ] && [ "$is_editable" = yes ]; then
        say "Note: started with sudo, so .venv will belong to root. Without sudo it is yours; apt-get asks where it must."
    fi
    if [ "${memory_mb:-9999}" -lt 1000 ] && [ "${swap_mb:-0}" = 0 ]; then
        say "Note: $memory_mb MB of memory and no swap: add some first, for example: sudo apt-get install zram-tools"
    fi
    if [ -n "$torch" ] && [ "${memory_mb:-9999}" -lt 2000 ]; then
        say "Note: converting takes 1.2 GB of memory, more than this board can spare: better convert on a workstation."
    fi
    if [ "$is_pi" = yes ] && [ "$picamera2" = no ]; then
        say "Note: ribbon cameras need picamera2: sudo apt-get install python3-picamera2, then run me again."
    fi
    [ "$is_jetson" = no ] || print_jetson_notes
}

print_jetson_notes() {
    [ -n "$jetpack" ] || say "Note: this Jetson Linux is not one that this script knows; it goes on as for the newest."
    [ "$tensorrt" != no ] || say "Note: TensorRT is not there, so the CPU will work: sudo apt-get install nvidia-jetpack"
    [ -z "$opencv" ] ||
        say "Note: JetPack's OpenCV is not there, and pip's has no GStreamer: sudo apt-get install nvidia-jetpack"
    [ -z "$power_mode" ] || say "Note: the power mode stays as it is; sudo nvpmodel -m and sudo jetson_clocks change it."
}

step() {
    number=$((number + 1))
    say "  $number. $*"
}

pip_arguments() {
    if [ "$is_editable" = yes ]; then printf '%s' "--editable .[$extras]"; else printf '%s' ".[$extras]"; fi
    printf '%s' "${constraints:+ --constraint $constraints}${wheelhouse:+ --no-index --find-links $wheelhouse}"
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

# --- system packages -------------------------------------------------------------------------------------------------

install_system_packages() {
    if [ -n "$missing" ]; then
        say "Installing $missing ..."
        fetched=$missing
        # shellcheck disable=SC2086  # $missing is a list of words
        apt_install $missing || die "apt-get could not install $missing: see above."
        detect_python
        choose_packages
        [ -z "$missing" ] || die "apt-get installed $fetched, and still $missing is missing: expected Python 3.10 or newer with venv."
    fi
    if [ -n "$tools" ] && is_root && command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086  # $tools is a list of words
        apt_install $tools >/dev/null 2>&1 || say "Note: $tools could not be installed; what needs them will be skipped."
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
        die "This needs root, and there is no sudo. Run as root: $*"
    fi
}

# --- the environment -------------------------------------------------------------------------------------------------

# Whether this script made what is at the prefix; its older versions left a file .installed-PARTS.
is_ours() {
    [ -f "$prefix/.mobilenet-edge" ] || [ -n "$(find "$prefix" -maxdepth 1 -name '.installed-*' 2>/dev/null)" ]
}

is_empty() { [ -z "$(find "$1" -mindepth 1 -print 2>/dev/null | head -n 1)" ]; }

# Makes the folder, or refuses one that is somebody else's, and holds it against a second installer.
open_prefix() {
    [ ! -e "$prefix" ] || [ -d "$prefix" ] || die "$prefix is a file: expected a folder, or a name that is free."
    [ ! -d "$prefix" ] || is_ours || is_empty "$prefix" ||
        die "$prefix was not made by this script, and stays as it is: move it away, or choose another folder by --prefix."
    [ -d "$prefix" ] || check_room
    { mkdir -p "$prefix" && : >>"$prefix/.mobilenet-edge"; } 2>/dev/null ||
        die "Cannot write in $prefix: choose a folder that is yours, or run me with sudo."
    take_lock
    [ -z "${fetched:-}" ] || say "$fetched" >>"$prefix/apt-packages"
}

check_room() {
    room_mb=$(free_mb "$prefix")
    [ "${room_mb:-$needed_mb}" -ge "$needed_mb" ] ||
        die "Only $room_mb MB are free for $prefix: expected at least $needed_mb MB. Remove what you no longer need."
}

# The kernel gives the lock up when the last process that holds it ends, however that happens.
take_lock() {
    exec 9>>"$prefix/.mobilenet-edge"
    "${python:-python3}" -I -c "import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)" 2>/dev/null ||
        die "Another install.sh is at work in $prefix: wait until it is done."
}

install_environment() {
    if is_installed; then
        remove_all_but "$(readlink "$prefix/current")"
        return
    fi
    [ ! -f "$log" ] || mv -f "$log" "$log.1"
    print_plan >"$log"
    new=$prefix/tmp
    trap 'abandon' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make_environment
    install_packages
    try_out
    switch
    trap - EXIT INT TERM HUP
}

# What is half made is of no use: the next attempt starts again, with the packages that pip keeps from this one.
abandon() {
    status=$?
    rm -rf "${new:?}" "$prefix/tmp"
    exit "$status"
}

make_environment() {
    current=$(readlink "$prefix/current" 2>/dev/null) || current=0
    remove_all_but "$current"
    check_room
    new=$prefix/$((current + 1))
    # pip unpacks here: the system's own /tmp is in memory on some boards.
    mkdir -p "$prefix/tmp"
    say "Preparing $shown ..."
    # shellcheck disable=SC2086  # the option is one word or none
    "$python" -m venv ${shared:+--system-site-packages} "$new" >>"$log" 2>&1 || fail "Cannot make the environment $new"
}

remove_all_but() {
    for folder in "$prefix"/[1-9]*; do
        [ ! -d "$folder" ] || [ "$folder" = "$prefix/$1" ] || rm -rf "$folder"
    done
    rm -rf "$prefix/tmp"
}

install_packages() {
    say "Installing packages (a few minutes the first time; log: $shown/install.log) ..."
    [ "$torch" != cpu ] || [ -n "$wheelhouse" ] || install_torch
    if [ "$is_editable" = yes ]; then set -- --editable ".[$extras]"; else copy_sources && set -- "$new/source[$extras]"; fi
    [ "$keeps_numpy" = no ] || set -- "$@" 'numpy<2'
    [ -z "$constraints" ] || set -- "$@" --constraint "$constraints"
    [ -z "$wheelhouse" ] || set -- "$@" --no-index --find-links "$wheelhouse"
    pip install --no-compile "$@" || fail "pip could not install the packages"
    rm -rf "$new/source"
    [ -n "$torch" ] || trim
    compile
    ! has_part dev || install_for_tests
    { fingerprint && say "$parts"; } >"$new/.installed"
}

# Older Pythons put setuptools into every environment, and nothing here needs it.
trim() {
    ! has_wheel "$new" setuptools || pip uninstall --yes setuptools || fail "pip could not remove setuptools"
}

# pip would compile every module that there is: a sixth of the installation's size, and most of it is never imported.
compile() {
    "$new/bin/python" -m compileall -q -j 0 -x '/(tests|pip|setuptools|pkg_resources|lexers|f2py)/' "$new/lib" >>"$log" 2>&1 ||
        say "Some modules could not be compiled." >>"$log"
}

# A build writes into its sources, and takes in what an older build left there: so it gets a copy.
copy_sources() {
    mkdir "$new/source"
    cp -R edge convert camera_demo profiles pyproject.toml README.md LICENSE NOTICE "$new/source/" ||
        fail "Cannot copy the sources to $new/source"
}

pip() {
    command=$1
    shift
    status=0
    TMPDIR=$prefix/tmp "$new/bin/python" -m pip "$command" --disable-pip-version-check --no-input "$@" >>"$log" 2>&1 </dev/null ||
        status=$?
    [ "$status" -lt 128 ] || say "pip was ended by signal $((status - 128))" >>"$log"
    return "$status"
}

TORCH_INDEX=https://download.pytorch.org/whl/cpu
ASK_INDEX="import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + '/torch/', timeout=5)"

# The usual index has torch for x86 with CUDA, some gigabytes; where a mirror has the CPU build, that is taken.
install_torch() {
    if "$python" -I -c "$ASK_INDEX" "$TORCH_INDEX" >/dev/null 2>&1; then
        pip install torch --index-url "$TORCH_INDEX" --constraint "$constraints" && return
    fi
    pip install torch --constraint "$constraints" --dry-run --report "$prefix/tmp/report.json" || fail "pip finds no torch"
    if grep -q '"name": *"nvidia-cu' "$prefix/tmp/report.json"; then
        die "$TORCH_INDEX does not answer, and elsewhere torch comes with CUDA, some gigabytes, for which there is no GPU" \
            "here. Try again later, or take that with --cuda."
    fi
}

# tflite-runtime has other kernels and wants NumPy 1; timm asks for torchvision, which asks for another torch, and its
# networks need neither. So each gets a folder of its own.
install_for_tests() {
    ! wants_second_runtime || install_apart tflite-runtime --only-binary :all: 'tflite-runtime==2.14.0' 'numpy<2'
    install_apart timm --no-deps 'timm==1.0.31'
}

wants_second_runtime() {
    has_part dev && [ "$minor" -le 11 ] && [ "$bits" = 64 ]
}

# The folder outlives the environment, which gets a link to it.
install_apart() {
    name=$1
    shift
    if [ ! -d "$prefix/$name" ]; then
        if ! pip install --target "$prefix/tmp/$name" "$@"; then
            say "Note: $name could not be installed; its tests will be skipped."
            return
        fi
        mv "$prefix/tmp/$name" "$prefix/$name"
    fi
    ln -s "../$name" "$new/$name"
}

# An installation that stands is not given up for one that does not work.
try_out() {
    [ -x "$prefix/bin/edge" ] || return 0
    "$new/bin/edge" doctor >>"$log" 2>&1 </dev/null 9>&- ||
        die "The new installation does not work here, so the old one stays. What it says is at the end of $log."
}

SWITCH='import os, sys; os.sync(); os.replace(sys.argv[1], sys.argv[2])'

switch() {
    ln -sfn "${new##*/}" "$prefix/next"
    "$python" -I -c "$SWITCH" "$prefix/next" "$prefix/current" || fail "Cannot switch to $new"
    for part in bin include lib pyvenv.cfg; do
        # A plain environment, as older versions made it, gives way here.
        [ -L "$prefix/$part" ] || rm -rf "${prefix:?}/$part"
        ln -sfn "current/$part" "$prefix/$part"
    done
    rm -rf "${prefix:?}/lib64" "${prefix:?}/share" "$prefix"/.installed-*
    remove_all_but "${new##*/}"
}

# Ends with the log's last lines and, in one line, what they mean.
fail() {
    tail -n 15 "$log" >&2
    case $(cat "$log") in
        *'No space left'*)
            die "$1: the disk is full. Remove what you no longer need and run ./install.sh again."
            ;;
        *'ended by signal 9'*)
            die "$1: it was killed, most likely for want of memory. Add swap (sudo apt-get install zram-tools) and run" \
                "./install.sh again."
            ;;
        *'Permission denied'*) die "$1: something there belongs to another user. The log names it: $log" ;;
        *NewConnectionError* | *NameResolutionError* | *ConnectTimeout* | *'Max retries exceeded'* | \
            *'Network is unreachable'* | *'Read timed out'*)
            die "$1: the network cannot be reached. Connect this machine and run ./install.sh again; what pip has fetched" \
                "it keeps. Without a network: ./install.sh --make-wheelhouse elsewhere, --offline here."
            ;;
        *'No matching distribution'*)
            [ -z "$wheelhouse" ] || die "$1: $wheelhouse lacks a package. Make it again from this very version."
            die "$1: a package has no version for Python 3.$minor on $machine. The log names it: $log"
            ;;
    esac
    die "$1: see above, and the whole log in $log."
}

# --- without a network -----------------------------------------------------------------------------------------------

# Sets what a target has: Python's minor version, the newest C library, and whether its system may hold NumPy 1.
describe_target() {
    case $1 in
        pi-bookworm) target_minor=11 glibc=36 numpies='numpy numpy<2' ;;
        pi-trixie) target_minor=13 glibc=40 numpies='numpy' ;;
        jetpack6) target_minor=10 glibc=35 numpies='numpy numpy<2' ;;
        jetpack7) target_minor=12 glibc=39 numpies='numpy numpy<2' ;;
        *) misused "There is no target '$1': expected pi-bookworm, pi-trixie, jetpack6 or jetpack7." ;;
    esac
}

make_wheelhouse() {
    describe_target "$target"
    ! has_part dev || misused "A wheelhouse has no part dev: expected live or convert."
    [ -z "$missing" ] || die "$missing is missing: $(sudo_prefix)apt-get install $missing."
    [ ! -e "$wheelhouse_out" ] || [ -f "$wheelhouse_out/wheelhouse.txt" ] || is_empty "$wheelhouse_out" ||
        die "$wheelhouse_out holds something else: expected a name that is free, or an older wheelhouse."
    add_parts live
    say "Fetching the packages for $target, with $parts, into $wheelhouse_out"
    [ "$dry_run" = no ] || exit 0
    prefix=$wheelhouse_out.part
    rm -rf "$prefix"
    mkdir -p "$prefix/tmp" "$prefix/wheels" || die "Cannot write in $(dirname -- "$prefix"): choose a folder that is yours."
    log=$wheelhouse_out.log new=$prefix/tmp/env
    : >"$log"
    trap 'status=$?; rm -rf "${prefix:?}"; exit $status' EXIT
    trap 'exit 130' INT TERM HUP
    fetch_wheels
    finish_wheelhouse
    trap - EXIT INT TERM HUP
    exit 0
}

# pip judges what a package needs by the Python that it runs in: here it takes the target for that.
AS_TARGET='
import sys
from pip._vendor.packaging import markers

here, version = markers.default_environment(), sys.argv.pop(1)
there = {"python_version": version, "python_full_version": version + ".0", "platform_machine": "aarch64"}
there |= {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
markers.default_environment = lambda: here | there
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
'

fetch_wheels() {
    "$python" -m venv "$new" >>"$log" 2>&1 || fail "Cannot make an environment"
    copy_sources
    extras=litert,headless,desktop,$(say "$parts" | tr ' ' ,)
    set -- "3.$target_minor" download --disable-pip-version-check --no-input --only-binary :all: --dest "$prefix/wheels" \
        --implementation cp --python-version "3.$target_minor" --constraint scripts/constraints.txt
    for abi in "cp3$target_minor" abi3 none; do set -- "$@" --abi "$abi"; done
    while [ "$glibc" -ge 17 ]; do
        set -- "$@" --platform "manylinux_2_${glibc}_aarch64"
        glibc=$((glibc - 1))
    done
    for numpy in $numpies; do
        "$new/bin/python" -c "$AS_TARGET" "$@" --platform manylinux2014_aarch64 \
            "$new/source[$extras]" "$numpy" 'setuptools>=70.1' >>"$log" 2>&1 </dev/null || fail "pip could not fetch the packages"
    done
    # Our own package is built from the sources on the board.
    rm -f "$prefix/wheels"/mobilenet_edge-*.whl
}

finish_wheelhouse() {
    rm -rf "$prefix/tmp" "$log"
    mv "$prefix/wheels"/* "$prefix/"
    rmdir "$prefix/wheels"
    say "$target 3.$target_minor $parts" >"$prefix/wheelhouse.txt"
    (cd "$prefix" && sha256 ./*.whl >SHA256SUMS)
    rm -rf "$wheelhouse_out"
    mv "$prefix" "$wheelhouse_out"
    say "$(find "$wheelhouse_out" -name '*.whl' | wc -l | tr -d ' ') packages," \
        "$(du -sk "$wheelhouse_out" | awk '{ print int($1 * 1.024 / 1000) }') MB." \
        "On the board: ./install.sh --offline $(basename -- "$wheelhouse_out")"
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

check_wheelhouse() {
    [ -n "$wheelhouse" ] || return 0
    [ -f "$wheelhouse/wheelhouse.txt" ] ||
        die "$wheelhouse is not a wheelhouse: expected a folder made by ./install.sh --make-wheelhouse TARGET DIR."
    read -r target wheelhouse_python wheelhouse_parts <"$wheelhouse/wheelhouse.txt"
    [ "$wheelhouse_python $machine $bits" = "3.$minor aarch64 64" ] ||
        die "$wheelhouse is for $target (Python $wheelhouse_python, 64-bit Arm), and this machine has Python 3.$minor," \
            "$bits-bit, $machine: make one for it."
    for part in $parts; do
        case " $wheelhouse_parts " in
            *" $part "*) ;;
            *) die "$wheelhouse lacks the part $part: make it again with --with $part." ;;
        esac
    done
    (cd "$wheelhouse" && sha256 -c SHA256SUMS) >/dev/null 2>&1 ||
        die "$wheelhouse is damaged: a file is missing or differs from SHA256SUMS. Copy it again."
}

# --- afterwards ------------------------------------------------------------------------------------------------------

run_afterwards() {
    exec 9>&-
    [ "$test" = no ] || run_tests
    [ "$demo" = no ] || run_demo
    [ "$test$demo" != nono ] || run_self_test
}

run_self_test() {
    "$prefix/bin/edge" doctor || die "The self-test found a problem: see above."
    say "Ready. Next: $shown/bin/edge profile --bundle demo, then $shown/bin/camera-demo --bundle demo --fps 30"
}

run_tests() {
    say "Running the tests ..."
    if sh scripts/test >"$prefix/test.log" 2>&1 </dev/null; then
        tail -n 1 "$prefix/test.log"
    else
        cat "$prefix/test.log" >&2
        die "The tests failed: see above."
    fi
}

run_demo() {
    "$prefix/bin/edge" doctor || true
    "$prefix/bin/edge" profile --bundle demo
    "$prefix/bin/edge" select --bundle demo --fps 30
    "$prefix/bin/camera-demo" --bundle demo --fps 30 --headless
    say "Everyday things instead of digits: $shown/bin/edge bundle fetch imagenet"
}

run_service_installer() {
    set --
    [ "$dry_run" = no ] || set -- "$@" --dry-run
    [ "$uninstall" = no ] || set -- "$@" --uninstall
    [ -z "$wheelhouse" ] || set -- "$@" --offline "$(absolute "$wheelhouse")"
    if [ "$dry_run" = yes ]; then "$here/scripts/install-service" "$@"; else as_root "$here/scripts/install-service" "$@"; fi
    exit 0
}

# --- removing --------------------------------------------------------------------------------------------------------

uninstall() {
    [ -d "$prefix" ] || die "There is nothing installed in $prefix."
    is_ours || die "$prefix was not made by this script: it stays."
    [ -w "$prefix" ] || die "Cannot write in $prefix: run me as the user who installed it, or with sudo."
    ! command -v python3 >/dev/null || take_lock
    [ ! -f "$prefix/apt-packages" ] || say "what apt-get installed for it stays: $(tr '\n' ' ' <"$prefix/apt-packages")"
    bundles=${XDG_DATA_HOME:-${HOME:-}/.local/share}/mobilenet-edge
    [ ! -d "$bundles" ] || say "the bundles that were activated stay: $bundles"
    cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/mobilenet-edge
    state=${XDG_STATE_HOME:-${HOME:-}/.local/state}/mobilenet-edge
    set -- "$prefix" "$state/profiles" "$state/health.jsonl"
    if [ "$purge" = yes ] || [ ! -d "$cache/imagenet" ]; then
        set -- "$@" "$cache"
    else
        say "the weights that were fetched stay, unless --purge is given: $cache/imagenet"
        for path in "$cache"/* "$cache"/.[!.]*; do
            [ "$path" = "$cache/imagenet" ] || set -- "$@" "$path"
        done
    fi
    if [ "$is_editable" = yes ]; then
        set -- "$@" "$here/mobilenet_edge.egg-info" "$here/build"
        for folder in $(cd "$here" && find edge convert camera_demo profiles -name __pycache__); do
            set -- "$@" "$here/$folder"
        done
    fi
    for path in "$@"; do
        [ -e "$path" ] || continue
        say "remove $path"
        [ "$dry_run" = yes ] || rm -rf "$path"
    done
    [ "$dry_run" = yes ] || rmdir "$state" 2>/dev/null || exit 0
    exit 0
}

main "$@"
