#!/usr/bin/env python3
"""Between Shopify and a shop's Souk program: webhooks become events, and the app proxy gets lists. docs/storefront.md

It needs Python 3.8 and nothing else. Put a proxy with a certificate before it, and set:
  SOUK_URL        where souk-client serves, such as http://127.0.0.1:4480
  SOUK_TOKEN      a file with the text of http/token
  SHOPIFY_SECRET  a file with the app's client secret, which signs webhooks and the app proxy's requests
  THEME_SECRET    a file with a secret of your own, with which the theme signs the customer's e-mail address
  SHOP_URL        the storefront, such as https://www.shop.example
"""
import base64
import hashlib
import hmac
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST_BYTES = 5_000_000


def setting(name):
    with open(os.environ[name], encoding="utf-8") as file:
        return file.read().strip()


SOUK, SHOP = os.environ["SOUK_URL"], os.environ["SHOP_URL"]
TOKEN = setting("SOUK_TOKEN")
SECRET, THEME = setting("SHOPIFY_SECRET").encode(), setting("THEME_SECRET").encode()


def is_same(expected, said):
    return hmac.compare_digest(expected.encode(), said.encode())


def ask(path, body=None, timeout=0.3):
    """The text that Souk answers."""
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
    request = urllib.request.Request(SOUK + path, body and json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read().decode()


def events_of(topic, order):
    """An order's lines, or what of them was refunded. The ids let everything be sent twice and be counted once."""
    lines = []
    if topic == "orders/paid":
        lines = [("purchase", line["id"], line, line["quantity"]) for line in order["line_items"]]
    elif topic == "orders/updated":
        refunded = [line for refund in order.get("refunds", []) for line in refund["refund_line_items"]]
        lines = [("return", line["id"], line["line_item"], line["quantity"]) for line in refunded]
    # Without a SKU it is no item of the catalogue; without an address it is nobody's.
    return [
        {"user": order["email"], "item": line["sku"], "kind": kind, "quantity": quantity,
         "price": float(line["price"]), "order": order["name"], "id": f"{kind}-{number}"}
        for kind, number, line, quantity in lines
        if line.get("sku") and order.get("email") and quantity > 0
    ]


class Relay(BaseHTTPRequestHandler):
    """What Shopify asks."""

    timeout = 30

    def answer(self, status, text=""):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """A webhook. Shopify sends again what is not answered with 200."""
        length = int(self.headers.get("Content-Length", 0))
        if not 0 < length <= MOST_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        signed = base64.b64encode(hmac.new(SECRET, body, hashlib.sha256).digest()).decode()
        if not is_same(signed, self.headers.get("X-Shopify-Hmac-Sha256", "")):
            return self.answer(401)
        events = events_of(self.headers.get("X-Shopify-Topic", ""), json.loads(body))
        try:
            for at in range(0, len(events), 1000):
                ask("/v1/events", events[at:at + 1000], 5)
        except urllib.error.HTTPError as error:
            # What makes no sense makes none later either.
            self.log_error("souk refused: %s", error.read()[:500])
            return self.answer(200 if error.code == 400 else 503)
        except OSError as error:
            self.log_error("souk did not answer: %s", error)
            return self.answer(503)
        return self.answer(200)

    def do_GET(self):
        """The app proxy: .../recommendations?email=E-MAIL&hash=HASH&k=4, put into a theme by its script."""
        address = urllib.parse.urlsplit(self.path)
        said = urllib.parse.parse_qs(address.query, keep_blank_values=True)
        signature = said.pop("signature", [""])[0]
        signed = "".join(f"{key}={','.join(values)}" for key, values in sorted(said.items()))
        expected = hmac.new(SECRET, signed.encode(), hashlib.sha256).hexdigest()
        if not is_same(expected, signature):
            return self.answer(401)
        # Anybody may write an address into the query; the theme signs the customer's own.
        email, mark = said.get("email", [""])[0], said.get("hash", [""])[0]
        is_signed = is_same(hmac.new(THEME, email.encode(), hashlib.sha256).hexdigest(), mark)
        whom = "/" + urllib.parse.quote(email, safe="") if email and is_signed else ""
        query = {"k": said.get("k", ["4"])[0], "explain": "true", "link": SHOP + "/search?type=product&q={item}"}
        try:
            list_ = ask(f"/v1/fragment/recommendations{whom}?{urllib.parse.urlencode(query)}")
        except OSError:
            list_ = ""
        return self.answer(200, list_)

    def log_request(self, code="-", size="-"):
        """Addresses of customers stand in queries: they are not logged."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "4495"))), Relay).serve_forever()
