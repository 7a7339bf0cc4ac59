//! How shop systems lay out their exports: which column is what, and what their statuses mean.

use souk_common::table::{Row, RowSource, TableError, column};

use crate::data::DataError;
use crate::data::columns::OrderColumns;
use crate::data::config::{FileFormat, ShopDataConfig};

/// A layout: for each thing, the names that its column may have, the first that is there being used.
pub(super) struct Layout {
    /// What it is called in reports.
    pub(super) name: &'static str,
    pub(super) format: FileFormat,
    /// Columns that only this one has: they tell it from others.
    signature: &'static [&'static str],
    user: &'static [&'static str],
    item: &'static [&'static str],
    timestamp: &'static [&'static str],
    time: &'static [&'static str],
    event: &'static [&'static str],
    status: &'static [&'static str],
    order: &'static [&'static str],
    quantity: &'static [&'static str],
    /// Pieces of the line that came back.
    returned: &'static [&'static str],
    /// A moment at which the order was cancelled, if it was.
    cancelled: &'static [&'static str],
    price: &'static [&'static str],
    title: &'static [&'static str],
    rating: &'static [&'static str],
    /// Whether the status stands on an order's first line and holds for all.
    pub(super) status_on_first_line: bool,
    /// Statuses that mean there that nothing was bought, beside the owner's.
    pub(super) not_bought: &'static [&'static str],
}

const COLUMNS: Layout = Layout {
    name: "columns",
    format: FileFormat::Columns,
    signature: &["user_id", "item_id", "timestamp"],
    user: &["user_id"],
    item: &["item_id"],
    timestamp: &["timestamp"],
    time: &[],
    event: &["event"],
    status: &["status"],
    order: &["order_id"],
    quantity: &["quantity"],
    returned: &[],
    cancelled: &[],
    price: &["price"],
    title: &["title"],
    rating: &["rating"],
    status_on_first_line: false,
    not_bought: &[],
};

/// The first of a format is what the format means when it is set; those of formats that are set already follow.
const LAYOUTS: [Layout; 10] = [
    COLUMNS,
    Layout {
        name: "recbole",
        format: FileFormat::Recbole,
        ..COLUMNS
    },
    Layout {
        name: "shopify",
        format: FileFormat::Shopify,
        signature: &["Name", "Email", "Created at", "Lineitem sku", "Lineitem quantity"],
        user: &["Email"],
        item: &["Lineitem sku"],
        timestamp: &["Created at"],
        event: &[],
        status: &["Financial Status"],
        order: &["Name"],
        quantity: &["Lineitem quantity"],
        cancelled: &["Cancelled at"],
        price: &["Lineitem price"],
        title: &["Lineitem name"],
        rating: &[],
        status_on_first_line: true,
        ..COLUMNS
    },
    Layout {
        name: "woocommerce",
        format: FileFormat::Woocommerce,
        signature: &["Order Number", "Order Date", "SKU", "Quantity (- Refund)"],
        user: &["Email (Billing)", "Customer User ID"],
        item: &["SKU"],
        timestamp: &["Order Date"],
        event: &[],
        status: &["Order Status"],
        order: &["Order Number"],
        quantity: &["Quantity (- Refund)", "Quantity"],
        price: &["Item Cost"],
        title: &["Item Name"],
        rating: &[],
        not_bought: &["pending payment", "pending"],
        ..COLUMNS
    },
    Layout {
        name: "square",
        format: FileFormat::Square,
        signature: &["Date", "Time", "Qty", "Transaction ID", "Customer ID"],
        user: &["Customer ID"],
        item: &["SKU"],
        timestamp: &["Date"],
        time: &["Time"],
        event: &["Event Type"],
        status: &[],
        order: &["Transaction ID"],
        quantity: &["Qty"],
        price: &[],
        title: &["Item"],
        rating: &[],
        ..COLUMNS
    },
    Layout {
        name: "magento",
        format: FileFormat::Magento,
        signature: &["sku", "qty_ordered", "created_at"],
        user: &["customer_email", "customer_id"],
        item: &["sku"],
        timestamp: &["created_at"],
        event: &[],
        status: &["status", "state"],
        order: &["increment_id", "order_id"],
        quantity: &["qty_ordered"],
        returned: &["qty_refunded"],
        price: &["price"],
        title: &["name"],
        rating: &[],
        not_bought: &["closed", "fraud", "pending_payment"],
        ..COLUMNS
    },
    Layout {
        name: "amazon",
        format: FileFormat::Amazon,
        signature: &["order-item-id", "purchase-date", "sku"],
        user: &["buyer-email"],
        item: &["sku"],
        timestamp: &["purchase-date"],
        event: &[],
        status: &["order-status", "item-status"],
        order: &["order-id", "amazon-order-id"],
        quantity: &["quantity-purchased", "quantity"],
        price: &[],
        title: &["product-name"],
        rating: &[],
        not_bought: &[
            "unfulfillable",
            "shipped - returned to seller",
            "shipped - rejected by buyer",
        ],
        ..COLUMNS
    },
    Layout {
        name: "columns, as in REES46's data",
        signature: &["event_time", "event_type", "product_id", "user_id"],
        item: &["product_id"],
        timestamp: &["event_time"],
        event: &["event_type"],
        ..COLUMNS
    },
    Layout {
        name: "columns, as in Ta-Feng's data",
        signature: &["TRANSACTION_DT", "CUSTOMER_ID", "PRODUCT_ID", "AMOUNT"],
        user: &["CUSTOMER_ID"],
        item: &["PRODUCT_ID"],
        timestamp: &["TRANSACTION_DT"],
        quantity: &["AMOUNT"],
        // The price of all pieces.
        price: &[],
        ..COLUMNS
    },
    Layout {
        name: "columns, as in Online Retail",
        signature: &["StockCode", "Quantity", "InvoiceDate", "CustomerID"],
        user: &["CustomerID"],
        item: &["StockCode"],
        timestamp: &["InvoiceDate"],
        order: &["InvoiceNo"],
        quantity: &["Quantity"],
        price: &["UnitPrice"],
        title: &["Description"],
        ..COLUMNS
    },
];

/// The layout that was set, or that the header of `rows` tells, and whether it was told from there.
pub(super) fn layout(config: &ShopDataConfig, rows: &dyn RowSource) -> (&'static Layout, bool) {
    let of = |format| LAYOUTS.iter().find(|layout| layout.format == format);
    if let Some(set) = config.format {
        return (of(set).unwrap_or(&LAYOUTS[0]), false);
    }
    if rows.is_recbole() {
        return (of(FileFormat::Recbole).unwrap_or(&LAYOUTS[0]), true);
    }
    let has = |name: &&str| {
        rows.header()
            .iter()
            .any(|column| column.eq_ignore_ascii_case(name))
    };
    let told = LAYOUTS
        .iter()
        .find(|layout| layout.format != FileFormat::Recbole && layout.signature.iter().all(has));
    match told {
        // What everything is called by default is no guess.
        Some(layout) => (layout, layout.name != COLUMNS.name),
        None => (&LAYOUTS[0], false),
    }
}

/// Where the columns of a source of orders are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) user: usize,
    pub(super) item: usize,
    pub(super) timestamp: usize,
    pub(super) time: Option<usize>,
    pub(super) event: Option<usize>,
    pub(super) status: Option<usize>,
    pub(super) order: Option<usize>,
    pub(super) quantity: Option<usize>,
    pub(super) returned: Option<usize>,
    pub(super) cancelled: Option<usize>,
    pub(super) price: Option<usize>,
    pub(super) title: Option<usize>,
    pub(super) rating: Option<usize>,
}

impl Places {
    /// Of a source in a layout, whose columns the owner may name otherwise.
    pub(super) fn find(
        layout: &Layout,
        names: &OrderColumns,
        rows: &dyn RowSource,
    ) -> Result<Self, DataError> {
        let optional = |key: &'static str, wanted: &Option<String>, names: &[&str]| match wanted {
            Some(name) if name.is_empty() => Ok(None),
            Some(name) => required(rows, key, &[name]).map(Some),
            None => first_of(rows, names),
        };
        let must = |key: &'static str, wanted: &Option<String>, names: &[&str]| match wanted {
            Some(name) => required(rows, key, &[name]),
            None => required(rows, key, names),
        };
        // A time of day belongs to the layout's own date column.
        let time_of_day: &[&str] = if names.timestamp.is_none() {
            layout.time
        } else {
            &[]
        };
        Ok(Self {
            user: must("columns.user", &names.user, layout.user)?,
            item: must("columns.item", &names.item, layout.item)?,
            timestamp: must("columns.timestamp", &names.timestamp, layout.timestamp)?,
            time: optional("columns.time", &names.time, time_of_day)?,
            event: optional("columns.event", &names.event, layout.event)?,
            status: optional("columns.status", &names.status, layout.status)?,
            order: optional("columns.order", &names.order, layout.order)?,
            quantity: optional("columns.quantity", &names.quantity, layout.quantity)?,
            returned: first_of(rows, layout.returned)?,
            cancelled: first_of(rows, layout.cancelled)?,
            price: optional("columns.price", &names.price, layout.price)?,
            title: optional("columns.title", &names.title, layout.title)?,
            rating: optional("columns.rating", &names.rating, layout.rating)?,
        })
    }

    /// All of them.
    pub(super) fn used(&self) -> Vec<usize> {
        let may = [
            self.time,
            self.event,
            self.status,
            self.order,
            self.quantity,
            self.returned,
            self.cancelled,
            self.price,
            self.title,
            self.rating,
        ];
        let must = [self.user, self.item, self.timestamp];
        must.into_iter().chain(may.into_iter().flatten()).collect()
    }

    /// How many fields a row must have to say what can't be missing: fields after them only add to it.
    pub(super) fn needed(&self) -> usize {
        let needed = [
            Some(self.user),
            Some(self.item),
            Some(self.timestamp),
            self.time,
            self.event,
            self.status,
            self.order,
            self.quantity,
            self.returned,
        ];
        needed.into_iter().flatten().max().unwrap_or(0) + 1
    }
}

/// Whether a table with this header may be one of orders: it has the columns that must be there.
pub(crate) fn is_header(config: &ShopDataConfig, header: &[String]) -> bool {
    struct Bare<'a>(&'a [String]);
    impl RowSource for Bare<'_> {
        fn name(&self) -> &str {
            ""
        }
        fn header(&self) -> &[String] {
            self.0
        }
        fn next_row(&mut self, _: &mut Row) -> Result<bool, TableError> {
            Ok(false)
        }
    }
    let rows = Bare(header);
    Places::find(layout(config, &rows).0, &config.columns, &rows).is_ok()
}

fn first_of(rows: &dyn RowSource, names: &[&str]) -> Result<Option<usize>, DataError> {
    for name in names {
        if let Some(at) = column(rows.name(), rows.header(), name)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// The first of `names` that is there.
pub(super) fn required(rows: &dyn RowSource, key: &'static str, names: &[&str]) -> Result<usize, DataError> {
    first_of(rows, names)?.ok_or_else(|| DataError::NoColumn {
        path: rows.name().into(),
        column: names.join(" or "),
        key,
        have: rows.header().join(", "),
    })
}

/// The column called `wanted`, which must be there, or `default`, which may be.
pub(super) fn optional(
    rows: &dyn RowSource,
    key: &'static str,
    wanted: Option<&str>,
    default: &str,
) -> Result<Option<usize>, DataError> {
    match wanted {
        Some("") => Ok(None),
        Some(name) => required(rows, key, &[name]).map(Some),
        None => first_of(rows, &[default]),
    }
}
