//! Who is a customer, what is a product, and what was bought: the words that shop systems have for what is none.

use std::borrow::Cow;
use std::collections::HashSet;

/// Words of the owner's, compared whole and without case; a `*` at the end of one stands for anything.
pub(super) struct Words {
    whole: HashSet<String>,
    starts: Vec<String>,
    /// By the first byte of a word, which lengths such words have, those of 63 bytes and more as one; most ids are passed over by
    /// it. Of words whose first letter is no ASCII, whose lower case may have another length, nothing is told.
    lengths: Box<[u64; 128]>,
}

impl Words {
    pub(super) fn new(words: &[String]) -> Self {
        let lower: Vec<String> = words.iter().map(|word| word.trim().to_lowercase()).collect();
        let starts = lower.iter().filter_map(|word| word.strip_suffix('*'));
        let whole = lower.iter().filter(|word| !word.ends_with('*'));
        let mut lengths = Box::new([0; 128]);
        for word in whole.clone() {
            let lengths = lengths.get_mut(usize::from(word.bytes().next().unwrap_or(0)));
            if let Some(lengths) = lengths {
                *lengths |= length_bit(word);
            }
        }
        Self {
            starts: starts.map(str::to_owned).collect(),
            whole: whole.cloned().collect(),
            lengths,
        }
    }

    /// Whether `text` is one of them; `scratch` is a buffer that is used again, and has `text` in lower case then.
    pub(super) fn have(&self, text: &str, scratch: &mut String) -> bool {
        if text.is_empty() || (text.is_ascii() && self.starts.is_empty() && !self.may_have(text)) {
            return false;
        }
        lower(text, scratch);
        self.whole.contains(scratch.as_str()) || self.starts.iter().any(|start| scratch.starts_with(start))
    }

    /// Whether any word has the length and the first letter of this text of ASCII letters.
    fn may_have(&self, text: &str) -> bool {
        let first = text.as_bytes()[0].to_ascii_lowercase();
        self.lengths[usize::from(first)] & length_bit(text) != 0
    }
}

fn length_bit(word: &str) -> u64 {
    1 << word.len().min(63)
}

/// Puts `text` in lower case into `into`.
pub(super) fn lower(text: &str, into: &mut String) {
    into.clear();
    if text.is_ascii() {
        into.push_str(text);
        into.make_ascii_lowercase();
    } else {
        into.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// The id as it is compared: an e-mail address in lower case, anything else as it is.
pub(super) fn compared<'a>(id: &'a str, scratch: &'a mut String) -> &'a str {
    let address = id
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    if !address || !id.chars().any(char::is_uppercase) {
        return id;
    }
    lower(id, scratch);
    scratch
}

/// A customer's id as the store of interactions has it: trimmed, an e-mail address in lower case.
pub(crate) fn compared_id(id: &str) -> Cow<'_, str> {
    let id = id.trim();
    let mut scratch = String::new();
    match compared(id, &mut scratch) {
        same if same == id => Cow::Borrowed(id),
        _ => Cow::Owned(scratch),
    }
}

/// Enough of a text to find it by.
pub(super) fn shortened(text: &str) -> &str {
    text.char_indices()
        .nth(MOST_SHOWN)
        .map_or(text, |(end, _)| &text[..end])
}

/// Most letters of a value that are shown.
const MOST_SHOWN: usize = 60;

/// What shop systems write where there is no customer.
pub(super) const NOBODY: [&str; 29] = [
    "0",
    "0.0",
    "-1",
    "-",
    "--",
    "nan",
    "null",
    "none",
    "nil",
    "n/a",
    "na",
    "#n/a",
    "guest",
    "guest checkout",
    "anonymous",
    "unknown",
    "undefined",
    "walk-in",
    "n.a.",
    "<null>",
    "(null)",
    "(not set)",
    "00000000-0000-0000-0000-000000000000",
    "gast",
    "invité",
    "invitée",
    "invitado",
    "invitada",
    "游客",
];
/// What shop systems call lines that are no products.
pub(super) const LEAVE_OUT: [&str; 26] = [
    "post",
    "postage",
    "dotcom postage",
    "carriage",
    "shipping",
    "shipping fee",
    "shipping cost",
    "delivery",
    "delivery fee",
    "freight",
    "gift card*",
    "gift voucher*",
    "giftcard*",
    "gift_0001_*",
    "voucher",
    "gift wrap",
    "gift wrapping",
    "tip",
    "discount",
    "bank charges",
    "amazonfee",
    "amazon fee",
    "service fee",
    "handling fee",
    "deposit",
    "donation",
];
/// What shop systems call orders of which nothing was bought; then the same in German, French, Spanish and Chinese.
pub(super) const NOT_BOUGHT: [&str; 57] = [
    "cancelled",
    "canceled",
    "refunded",
    "voided",
    "void",
    "failed",
    "expired",
    "draft",
    "checkout-draft",
    "trash",
    "declined",
    "rejected",
    "returned",
    "auto-draft",
    "chargeback",
    "charged back",
    "storniert",
    "abgebrochen",
    "erstattet",
    "rückerstattet",
    "zurückerstattet",
    "retourniert",
    "zurückgegeben",
    "fehlgeschlagen",
    "abgelehnt",
    "annulé",
    "annulée",
    "annule",
    "annulee",
    "remboursé",
    "remboursée",
    "rembourse",
    "remboursee",
    "retourné",
    "retournée",
    "échoué",
    "échouée",
    "refusé",
    "refusée",
    "cancelado",
    "cancelada",
    "anulado",
    "anulada",
    "reembolsado",
    "reembolsada",
    "devuelto",
    "devuelta",
    "fallido",
    "fallida",
    "rechazado",
    "rechazada",
    "已取消",
    "已退款",
    "已退货",
    "退款成功",
    "交易关闭",
    "已作废",
];
/// What shop systems call orders that are surely bought, with blanks for `_` and `-`: nobody need look at them.
pub(super) const BOUGHT: [&str; 61] = [
    "paid",
    "complete",
    "completed",
    "processing",
    "processed",
    "fulfilled",
    "shipped",
    "dispatched",
    "unshipped",
    "partially shipped",
    "shipped delivered to buyer",
    "delivered",
    "received",
    "invoiced",
    "bought",
    "purchased",
    "sold",
    "success",
    "successful",
    "succeeded",
    "captured",
    "settled",
    "bezahlt",
    "abgeschlossen",
    "in bearbeitung",
    "versandt",
    "versendet",
    "geliefert",
    "zugestellt",
    "payé",
    "payée",
    "paye",
    "payee",
    "terminé",
    "terminée",
    "terminee",
    "termine",
    "en cours",
    "expédié",
    "expédiée",
    "expedie",
    "livré",
    "livrée",
    "livre",
    "pagado",
    "pagada",
    "completado",
    "completada",
    "procesando",
    "enviado",
    "enviada",
    "entregado",
    "entregada",
    "已付款",
    "已支付",
    "已完成",
    "已发货",
    "已签收",
    "待发货",
    "待收货",
    "交易成功",
];
