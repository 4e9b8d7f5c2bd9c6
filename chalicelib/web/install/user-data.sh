#!/bin/bash
# Makes this VM the AutoStop proxy @LOAD_BALANCER_ID@: fetches the install script with the key in Secrets Manager, verifies its
# SHA-256, and runs it. There is no key in here. The key is in the memory of this shell alone, and in no argument.
set -uo pipefail
umask 077

readonly INSTALL=@INSTALL@
readonly SECRET=@SECRET@
readonly SECRET_REGION=@SECRET_REGION@
readonly SHA256=@SHA256@
readonly TRIES=@TRIES@

say() { printf 'autostop: %s\n' "$*" >&2; }

fetch() {
  local key
  key=$(aws secretsmanager get-secret-value --region "$SECRET_REGION" --secret-id "$SECRET" --query SecretString --output text) ||
    { say "cannot read $SECRET yet" && return 1; }
  printf 'Authorization: Bearer %s\n' "$key" |
    curl --fail --silent --show-error --max-time 60 --proto @PROTO@ --header @- --output "$1" "$INSTALL" ||
    { say "cannot fetch $INSTALL yet" && return 1; }
  printf '%s  %s\n' "$SHA256" "$1" | sha256sum --check --status ||
    { say "$INSTALL is not the script that this VM was made for: its SHA-256 is not $SHA256" && return 1; }
}

main() {
  local try work
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  for ((try = 1; try <= TRIES; try++)); do
    if fetch "$work/install.sh" && bash "$work/install.sh" "$@"; then
      exit 0
    fi
    sleep "${AUTOSTOP_PAUSE:-10}"
  done
  say "given up after $TRIES tries"
  exit 1
}

main "$@"
