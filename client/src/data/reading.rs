//! Rows of orders into interactions, one by one: whatever is wrong with one costs that one only.

use std::collections::HashMap;

use souk_common::clock::Timestamp;
use souk_common::table::{Row, RowFault, RowSource, number};
use souk_common::task::LabelKind;

use crate::data::DataError;
use crate::data::config::ShopDataConfig;
use crate::data::customers::{self, Words, shortened};
use crate::data::interaction::{Interaction, Kind, OrderKey, Sink};
use crate::data::layout::{Layout, Places, layout};
use crate::data::report::DataReport;
use crate::data::star_scale::StarScale;
use crate::data::statuses::Statuses;
use crate::data::time::Times;
use crate::forgotten::ForgottenList;

/// How rows are to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What the owner says of the files.
    pub config: &'a ShopDataConfig,
    /// Which group takes an item's place, by item id, if groups are recommended; an item without one keeps its id, which
    /// is then none of the catalogue's.
    pub levels: Option<&'a HashMap<String, String>>,
    /// The time now: nothing can have been bought after tomorrow.
    pub now: Timestamp,
    /// What was before, in seconds since 1970, is left out; none: nothing is.
    pub kept_since: Option<i64>,
    /// Customers who are left out.
    pub forgotten: Option<&'a ForgottenList>,
}

/// Reads all `rows` of orders; every row is counted in the `report`: as taken, as left out, or as bad.
///
/// # Errors
/// When the source can't be read on, lacks a column, a setting says nothing, or the sink fails.
pub fn read_interactions(
    rows: &mut dyn RowSource,
    reading: &Reading<'_>,
    sink: &mut dyn Sink,
    report: &mut DataReport,
) -> Result<(), DataError> {
    let (layout, guessed) = layout(reading.config, rows);
    let mut lines = Lines::new(layout, reading, rows)?;
    report.begin(rows.name());
    if guessed {
        report.guessed(format!("format: {} (by the header)", layout.name));
    }
    rows.only(&lines.places.used());
    let mut row = Row::default();
    while rows.next_row(&mut row)? {
        report.rows += 1;
        match lines.read(&row) {
            Ok(Line { interaction, missing }) => {
                sink.take(&interaction)
                    .map_err(|source| DataError::Sink { source })?;
                report.take(interaction.kind);
                report.note_time(Some(interaction.time));
                for what in missing.into_iter().flatten() {
                    report.missing(what);
                }
            }
            Err(Lost::Out(reason)) => report.leave_out(reason),
            Err(Lost::NotBought(reason, NotBought { order, item, time })) => {
                if let Some(order) = order {
                    sink.take_not_bought(order, item)
                        .map_err(|source| DataError::Sink { source })?;
                }
                report.leave_out(reason);
                report.note_time(time);
            }
            Err(Lost::Event(event)) => report.leave_out_event(event),
            // Its reason could quote what names them, whichever column that is in.
            Err(Lost::Bad(..)) if names_forgotten(&row, reading) => report.leave_out(FORGOTTEN),
            Err(Lost::Bad(kind, reason)) => report.add_bad(row.line, kind, reason),
        }
    }
    for told in rows.guessed().into_iter().chain(lines.times.told()) {
        report.guessed(told);
    }
    let lacks = match reading.config.labels {
        Some(LabelKind::Stars) if lines.places.rating.is_none() => Some("stars (columns.rating)"),
        Some(LabelKind::Clicks) if lines.places.event.is_none() => Some("events (columns.event)"),
        _ => None,
    };
    if let Some(lacks) = lacks {
        report.warnings.push(format!(
            "{} has no column of {lacks} under [data]: nothing in it is learned from as labels",
            rows.name()
        ));
    }
    report.note_statuses(lines.statuses.found(), lines.places.order.is_some());
    Ok(())
}

/// Whether any field of a row is the id of a customer who was forgotten.
fn names_forgotten(row: &Row, reading: &Reading<'_>) -> bool {
    let is_theirs = |list: &ForgottenList| {
        let fields = (0..row.len()).map(|at| row.get(at));
        !list.is_empty()
            && fields
                .map(customers::compared_id)
                .any(|field| list.since(&field).is_some())
    };
    reading.forgotten.is_some_and(is_theirs)
}

/// An interaction, and which optional values its row lacks though it has a text for them.
struct Line<'r> {
    interaction: Interaction<'r>,
    missing: [Option<&'static str>; 3],
}

/// Why a row is no interaction.
enum Lost<'r> {
    /// Left out, by this reason.
    Out(&'r str),
    /// Left out, for it was not bought after all, and of which order that is.
    NotBought(&'r str, NotBought<'r>),
    /// Left out for its kind of event.
    Event(&'r str),
    /// Bad: what kind of fault, and which.
    Bad(&'static str, String),
}

/// What is known of a line that was not bought after all; no order where other sources can't speak of it.
struct NotBought<'r> {
    order: Option<OrderKey>,
    item: &'r str,
    time: Option<i64>,
}

/// What is needed to read a row, and what has to be kept from one to the next.
struct Lines<'a> {
    places: Places,
    /// What helps where items have a title and no number, as in shops that never gave them any.
    no_number: Option<String>,
    needed: usize,
    decimal_commas: bool,
    events: Option<&'a [String]>,
    /// The scale of stars, where they are learned from.
    stars: Option<StarScale>,
    has_clicks: bool,
    levels: Option<&'a HashMap<String, String>>,
    kept_since: i64,
    forgotten: Option<&'a ForgottenList>,
    nobody: Words,
    leave_out: Words,
    times: Times,
    statuses: Statuses,
    /// The last line that was a row although a quote on it does not close.
    cut: Option<u64>,
    user: String,
    when: String,
    scratch: String,
}

impl<'a> Lines<'a> {
    fn new(layout: &Layout, reading: &Reading<'a>, rows: &dyn RowSource) -> Result<Self, DataError> {
        let config = reading.config;
        let places = Places::find(layout, &config.columns, rows)?;
        let unnamed = places.title.filter(|_| config.columns.item.is_none());
        Ok(Self {
            no_number: unnamed.map(|title| {
                let title = &rows.header()[title];
                format!(
                    "; if items have no numbers here, set item = {title:?} under [data.columns] in shop.toml"
                )
            }),
            needed: places.needed(),
            places,
            decimal_commas: rows.has_decimal_commas(),
            events: (!config.events.is_empty()).then_some(&config.events),
            stars: (config.labels == Some(LabelKind::Stars)).then_some(config.stars),
            has_clicks: config.labels == Some(LabelKind::Clicks),
            levels: reading.levels,
            kept_since: reading.kept_since.unwrap_or(i64::MIN),
            forgotten: reading.forgotten.filter(|list| !list.is_empty()),
            nobody: Words::new(&config.nobody),
            leave_out: Words::new(&config.leave_out),
            times: Times::new(config, reading.now)?,
            statuses: Statuses::new(layout, &config.not_bought),
            cut: None,
            user: String::new(),
            when: String::new(),
            scratch: String::new(),
        })
    }

    fn read<'r>(&'r mut self, row: &'r Row) -> Result<Line<'r>, Lost<'r>> {
        let cut = self.is_cut(row)?;
        let places = &self.places;
        let get = |place: Option<usize>| place.map_or("", |at| row.get(at));
        let (user, item) = (row.get(places.user), row.get(places.item));
        let is_nobody = user.is_empty() || self.nobody.have(user, &mut self.scratch);
        let title = get(places.title);
        let no_number = |lost| match &self.no_number {
            Some(hint) if item.is_empty() && !title.is_empty() => {
                Lost::Bad("empty id", format!("the item id is empty{hint}"))
            }
            _ => lost,
        };
        let is_id = check_id("user", user).and_then(|()| check_id("item", item).map_err(no_number));
        let user = customers::compared(user, &mut self.user);
        // Only of what is an id can another source say something.
        let order = OrderKey::of(get(places.order), user).filter(|_| !is_nobody && is_id.is_ok());
        let status = self
            .statuses
            .of(places, row)
            .map_err(|fault| Lost::Bad(fault, fault.to_owned()))?;
        let (when, moment) = match places.time.map(|at| row.get(at)) {
            None | Some("") => (row.get(places.timestamp), row.moment(places.timestamp)),
            Some(time) => {
                self.when.clear();
                self.when.extend([row.get(places.timestamp), " ", time]);
                (self.when.as_str(), None)
            }
        };
        let time = match moment {
            Some(moment) => self.times.of_moment(moment),
            None => self.times.parse(when),
        };
        let is_forgotten = |list: &ForgottenList| !is_nobody && list.since(user).is_some();
        if self.forgotten.is_some_and(is_forgotten) {
            return Err(Lost::Out(FORGOTTEN));
        }
        let is_long_ago = |time: i64| time < self.kept_since.saturating_sub(TIMES_OF_ONE_ORDER);
        if let Some(reason) = status {
            let time = time.ok();
            if time.is_some_and(is_long_ago) {
                return Err(Lost::Out(OLD));
            }
            return Err(Lost::NotBought(reason, NotBought { order, item, time }));
        }
        let mut kind = match places.event {
            Some(at) => kind_of(row.get(at), self.events, self.has_clicks, &mut self.scratch)?,
            None => Kind::Purchase,
        };
        if is_nobody {
            return Err(Lost::Out(NO_CUSTOMER));
        }
        if self.leave_out.have(item, &mut self.scratch) || self.leave_out.have(title, &mut self.scratch) {
            return Err(Lost::Out(NO_PRODUCT));
        }
        is_id?;
        let time = time.map_err(|fault| {
            Lost::Bad(
                fault.kind,
                format!("timestamp {:?} {}", shortened(when), fault.reason),
            )
        })?;
        let pieces = |name: &str, place: Option<usize>| match get(place) {
            "" => Ok(None),
            text => number::parse(text, self.decimal_commas).map(Some).ok_or_else(|| {
                let reason = format!("{name} {:?} is not a number", shortened(text));
                Lost::Bad("quantity is no number", reason)
            }),
        };
        let quantity = pieces("quantity", places.quantity)?.unwrap_or(1.0)
            - pieces("returned quantity", places.returned)?.unwrap_or(0.0);
        if quantity == 0.0 && !is_long_ago(time) {
            let time = Some(time);
            return Err(Lost::NotBought(NO_PIECES, NotBought { order, item, time }));
        }
        if time < self.kept_since {
            return Err(Lost::Out(OLD));
        }
        if quantity < 0.0 {
            kind = Kind::Return;
        }
        let text = get(places.price);
        let price = number::parse(text, self.decimal_commas).filter(|price| *price >= 0.0);
        let lacks_price = !text.is_empty() && price.is_none();
        let text = get(places.rating);
        let stars = number::parse(text, self.decimal_commas);
        let stars = match self.stars {
            Some(scale) => stars.filter(|stars| scale.has(*stars as f32)),
            None => stars,
        };
        let lacks_rating = !text.is_empty() && stars.is_none();
        let rated = stars.filter(|_| self.stars.is_some() && kind == Kind::Purchase);
        if rated.is_some() {
            kind = Kind::Rated;
        }
        let missing = [
            lacks_price.then_some("price"),
            lacks_rating.then_some(match self.stars {
                Some(_) => "rating (no number, or not within stars under [data])",
                None => "rating",
            }),
            cut.then_some("what follows an unclosed quote"),
        ];
        // An item without a group counts as one that the catalogue does not have.
        let group = self.levels.and_then(|levels| levels.get(item));
        let interaction = Interaction {
            user,
            item: group
                .filter(|group| !group.is_empty())
                .map_or(item, String::as_str),
            time,
            kind,
            quantity: rated.unwrap_or(quantity.abs()) as f32,
            price: price.map(|price| price as f32),
            order,
        };
        Ok(Line { interaction, missing })
    }

    /// Whether a row is cut short after what is needed of it, by a quote in a column that nobody uses.
    fn is_cut(&mut self, row: &Row) -> Result<bool, Lost<'static>> {
        match &row.fault {
            None => Ok(false),
            Some(fault @ (RowFault::OpenQuote { .. } | RowFault::AfterQuote)) if row.len() >= self.needed => {
                if matches!(fault, RowFault::OpenQuote { .. }) {
                    self.cut = Some(row.line);
                }
                Ok(true)
            }
            Some(RowFault::Fields { open_since, .. }) if open_since.is_some() && *open_since == self.cut => {
                Err(Lost::Out(REST))
            }
            Some(fault) => Err(Lost::Bad(fault.kind(), fault.to_string())),
        }
    }
}

/// What kind of event a word is, by the owner's list or by the usual words.
fn kind_of<'r>(
    event: &'r str,
    wanted: Option<&[String]>,
    has_clicks: bool,
    scratch: &mut String,
) -> Result<Kind, Lost<'r>> {
    if has_clicks {
        customers::lower(event, scratch);
        match scratch.as_str() {
            word if SHOWN.contains(&word) => return Ok(Kind::Shown),
            word if CLICKED.contains(&word) => return Ok(Kind::Clicked),
            _ => {}
        }
    }
    if let Some(wanted) = wanted {
        let wanted = wanted.iter().any(|wanted| wanted == event);
        return wanted.then_some(Kind::Purchase).ok_or(Lost::Event(event));
    }
    customers::lower(event, scratch);
    match scratch.as_str() {
        word if PURCHASES.contains(&word) => Ok(Kind::Purchase),
        word if RETURNS.contains(&word) => Ok(Kind::Return),
        _ => Err(Lost::Event(event)),
    }
}

fn check_id(name: &'static str, id: &str) -> Result<(), Lost<'static>> {
    if id.is_empty() {
        return Err(Lost::Bad("empty id", format!("the {name} id is empty")));
    }
    if id.len() > MAX_ID_BYTES {
        let reason = format!("the {name} id is longer than {MAX_ID_BYTES} bytes");
        return Err(Lost::Bad("id too long", reason));
    }
    // One of which stands in whatever is refused below; most ids have none.
    if !id.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0xef)) {
        return Ok(());
    }
    if id.contains(char::REPLACEMENT_CHARACTER) {
        let reason = format!("the {name} id {id:?} has a letter that was lost in an export: export as UTF-8");
        return Err(Lost::Bad("id with lost letters", reason));
    }
    if is_of_a_spreadsheet(id) {
        let reason = format!(
            "the {name} id {id:?} is what a spreadsheet makes of one that it does not understand: export again with that column as text"
        );
        return Err(Lost::Bad("id that a spreadsheet has spoilt", reason));
    }
    Ok(())
}

/// A number cut short to `4.7E+11`, or an error's name: many ids become one like that.
fn is_of_a_spreadsheet(id: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = id.split_once("E+").is_some_and(|(number, power)| {
        let (whole, part) = number.split_once(['.', ',']).unwrap_or((number, "0"));
        is_digits(whole) && is_digits(part) && is_digits(power)
    });
    is_short || SPREADSHEET_ERRORS.contains(&id)
}

/// Longest id of a user or an item.
const MAX_ID_BYTES: usize = 256;
const SPREADSHEET_ERRORS: [&str; 7] = ["#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"];
/// Why a row is left out that is of before what the owner keeps.
pub(crate) const OLD: &str = "older than keep_days";
/// Why a row is left out that is of a customer who was forgotten.
pub(crate) const FORGOTTEN: &str = "forgotten (souk-client forget)";
/// Exports may have taken the time of one order to be of two zones. What an older line says of an order still counts against a newer
/// one that is kept.
const TIMES_OF_ONE_ORDER: i64 = 2 * 86_400;
const NO_CUSTOMER: &str = "no customer";
const NO_PRODUCT: &str = "no product (postage, vouchers, fees: leave_out)";
const NO_PIECES: &str = "no pieces (quantity 0)";
const REST: &str = "the rest of a row whose quotes hold a line break";
const PURCHASES: [&str; 12] = [
    "purchase",
    "purchased",
    "buy",
    "bought",
    "order",
    "ordered",
    "sale",
    "sold",
    "transaction",
    "payment",
    "checkout",
    "completed",
];
const SHOWN: [&str; 5] = ["shown", "show", "impression", "ad_shown", "ad_impression"];
const CLICKED: [&str; 6] = [
    "clicked",
    "click",
    "ad_click",
    "ad_clicked",
    "redeemed",
    "redemption",
];
const RETURNS: [&str; 4] = ["return", "returned", "refund", "refunded"];
