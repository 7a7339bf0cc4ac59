//! Connections: made, cut, and noticed to be gone.

use souk_common::transport::PeerIdentity;

use super::*;

impl Storm {
    pub(crate) fn dial(&mut self, shop: usize) {
        let reachable = self.now.0 >= self.lines[shop].cut_until && self.coordinator.engine().is_some();
        if !reachable {
            // Nobody answers: the shop gives up after a while.
            let wait = self.rng.random_range(100..3_000);
            self.shops[shop].link = None;
            let link = self.lines[shop].link + 1;
            self.lines[shop].link = link;
            self.shops[shop].link = Some(link);
            self.post_in(wait, Delivery::LostAtShop { shop, link });
            return;
        }
        let line = &mut self.lines[shop];
        let (old, link) = (line.link, line.link + 1);
        line.link = link;
        (line.up, line.delay_ms) = (true, 0);
        // A coordinator that has not noticed yet will.
        let notice = self.rng.random_range(0..2_000);
        self.post_in(notice, Delivery::LostAtCoordinator { shop, link: old });
        let certificate = self.shops[shop].certificate();
        self.coordinator
            .connected(shop, PeerIdentity::of(certificate), certificate);
        let now = self.shops_time(shop);
        let wishes = self.shops[shop].linked(now, link);
        self.after_shop(shop, wishes);
    }

    /// The line breaks; both ends notice, each in its time.
    pub(crate) fn cut(&mut self, shop: usize, for_ms: i64) {
        let line = &mut self.lines[shop];
        line.cut_until = line.cut_until.max(self.now.0 + for_ms);
        if !std::mem::take(&mut line.up) {
            return;
        }
        let link = line.link;
        let (here, there) = (self.rng.random_range(0..3_000), self.rng.random_range(0..30_000));
        self.post_in(here, Delivery::LostAtShop { shop, link });
        self.post_in(there, Delivery::LostAtCoordinator { shop, link });
    }

    pub(crate) fn tell_disconnected(&mut self, shop: usize) {
        let jitter = self.rng.random();
        let now = self.shops_time(shop);
        let wishes = self.shops[shop].event(now, ShopEvent::Disconnected { jitter });
        self.after_shop(shop, wishes);
    }
}
