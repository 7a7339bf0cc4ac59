#!/bin/sh
# Load on a shop's HTTP API: a made-up shop, `run --http`, and lists for one customer after another by wrk (Debian's package).
#   deploy/load-test.sh [CUSTOMERS [ITEMS [SECONDS]]]
# It needs target/release (cargo build --release), curl and wrk, and prints requests in a second and latencies for 1, 4 and 8 connections.
set -eu
customers=${1:-100000}
items=${2:-10000}
seconds=${3:-10}
cd "$(dirname "$0")/.."
programs=$PWD/target/release
home=$(mktemp -d)
pids=
finish() {
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$home"
}
trap finish EXIT
cd "$home"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
coordinator=127.0.0.1:$(free_port)
api=127.0.0.1:$(free_port)

# Customers of 120 tastes, 3 to 11 purchases each, most of them of their taste.
awk -v items="$items" 'BEGIN { print "item_id,title,category,brand,price"
  for (i = 0; i < items; i++) printf "item-%d,Thing %d,c%d,b%d,%d\n", i, i, i % 120, i % 70, 5 + i % 40 }' >items.csv
awk -v customers="$customers" -v items="$items" 'BEGIN { srand(3); print "user_id,item_id,timestamp"
  for (u = 0; u < customers; u++) { n = 3 + int(9 * rand())
    for (k = 0; k < n; k++) {
      item = rand() < 0.8 ? (u % 120 + 120 * int(1 / (rand() + 0.001))) % items : int(items * rand())
      printf "u%d,item-%d,2026-%02d-%02d\n", u, item, 1 + int(10 * rand()), 1 + int(27 * rand()) } } }' >orders.csv
"$programs/souk-coordinator" init fed --name load --address "$coordinator" >/dev/null
"$programs/souk-coordinator" catalogue import items.csv --dir fed >/dev/null
printf '%s\n' 'name = "load"' 'rounds = 1' '[model]' 'kind = "mf"' '[train]' 'solver = "ials"' 'alpha = 0.1' 'lambda = 1.0' \
  '[privacy]' 'enabled = false' 'clip_norm = 1.0' 'modulus_bits = 64' 'sampling_rate = 1.0' '[cohort]' 'quorum = 1' \
  '[server]' 'optimiser = "plain"' 'learning_rate = 1.0' '[[shops]]' 'name = "north"' "declared_users = $customers" >plan.toml
code=$("$programs/souk-coordinator" invite north --dir fed | grep -o 'souk1-[A-Za-z0-9_-]*' | head -1)
"$programs/souk-coordinator" serve --plan plan.toml --dir fed --listen "$coordinator" >serve.log 2>&1 &
serve=$!
pids=$serve
until grep -q 'listening on' serve.log; do sleep 0.2; done
"$programs/souk-client" join "$code" --dir shop --data orders.csv >/dev/null
# Lists need no coordinator, and no round disturbs them then.
kill "$serve"
"$programs/souk-client" run --http "$api" --dir shop >run.log 2>&1 &
run=$!
pids=$run
printf 'fitting to %s customers and %s items ...\n' "$customers" "$items"
until curl -s -m 5 "http://$api/v1/healthz" | grep -q '"ok"'; do
  kill -0 "$run" || { cat run.log; exit 1; }
  sleep 1
done
cat >requests.lua <<L
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/v1/recommendations/u" .. ((n * 7919) % $customers) .. "?k=10")
end
L
for connections in 1 4 8; do
  printf '\n%s connections\n' "$connections"
  wrk -t1 "-c$connections" "-d${seconds}s" --latency -s requests.lua -H "Authorization: Bearer $(cat shop/http/token)" "http://$api" |
    grep -E '50%|99%|Requests/sec|Non-2xx'
done
