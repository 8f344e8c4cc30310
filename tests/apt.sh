#!/bin/sh
# Install the Debian packages the tests use, when this user may; say what will be skipped when not.
set -u
missing=""
for p in python3-venv chromium curl fonts-noto-cjk libzbar0 mariadb-server orthanc orthanc-dicomweb postgresql; do
  dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing Debian packages:$missing"
  apt-get update -q >/dev/null 2>&1
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 && exit 0
fi
echo "not installed (tests that need them skip and say so):$missing"
exit 0
