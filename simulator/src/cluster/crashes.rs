//! Programs and machines start, stop and fail.

use super::*;

impl Storm {
    pub(crate) fn start_coordinator(&mut self) {
        self.note("coordinator starts");
        let now = self.coordinators_time();
        let up = coordinator::open(&self.coordinators_disk, &self.setup, now);
        let said = self.coordinator.start(now, up);
        let started = said.is_ok();
        self.after_coordinator(said);
        if started && !self.coordinators_disk.is_off() {
            self.examine();
        }
        let engine = self.coordinator.engine();
        if engine.is_some_and(|engine| engine.machine().phase() == Phase::Finished) {
            self.finished = true;
        }
    }

    /// What the coordinator keeps is looked at without touching the disk's fuse.
    pub(crate) fn examine(&mut self) {
        let names = self.setup.shops.clone();
        let Some(engine) = self.coordinator.engine() else {
            return;
        };
        if let Err(error) = self.referee.examine(engine, &names)
            && !self.coordinators_disk.is_off()
        {
            self.referee
                .faults
                .push(format!("the coordinator's store can't be read: {error}"));
        }
    }

    /// `None`: the machine has stopped by itself, as it was told.
    pub(crate) fn stop_coordinator(&mut self, how: Option<Stop>) {
        self.note("coordinator stops");
        let (told, down_ms) = self.stops[0];
        self.outcome.crashes += u64::from(how.is_none());
        self.coordinator.stop();
        self.coordinators_disk.restart(how.unwrap_or(told));
        let boots = self.coordinator.boots;
        for shop in 0..self.shops.len() {
            self.cut(shop, 0);
        }
        self.post_in(down_ms, Delivery::StartCoordinator { boots });
    }

    pub(crate) fn start_shop(&mut self, shop: usize) {
        self.note("shop starts");
        let now = self.shops_time(shop);
        let wishes = self.shops[shop].start(now);
        let started = wishes.is_ok();
        self.after_shop(shop, wishes);
        if started && self.shops[shop].is_up() {
            self.referee
                .audit(shop, &self.shops[shop], (self.plan, &self.setup.plan));
        }
    }

    pub(crate) fn stop_shop(&mut self, shop: usize, how: Option<Stop>) {
        self.note("shop stops");
        let (told, down_ms) = self.stops[shop + 1];
        self.outcome.crashes += u64::from(how.is_none());
        self.shops[shop].stop();
        self.cut(shop, 0);
        self.shops[shop].disk.restart(how.unwrap_or(told));
        let boots = self.shops[shop].boots;
        self.post_in(down_ms, Delivery::StartShop { shop, boots });
    }

    pub(crate) fn go_wrong(&mut self, op: Op) {
        if self.weather.script.is_none() && !self.finished {
            self.next_op();
        }
        *self.outcome.ops.entry(op.name()).or_default() += 1;
        self.note(op.name());
        match op {
            Op::Crash {
                whom,
                how,
                writes,
                down_ms,
            } => {
                self.stops[place(whom)] = (how, down_ms);
                match (writes, whom) {
                    (Some(writes), _) => self.disk(whom).stop_after(writes),
                    (None, Whom::Coordinator) if self.coordinator.engine().is_some() => {
                        self.coordinators_disk.switch_off();
                        self.stop_coordinator(None);
                    }
                    (None, Whom::Shop(shop)) if self.shops[shop].is_up() => {
                        self.shops[shop].disk.switch_off();
                        self.stop_shop(shop, None);
                    }
                    // It is down already.
                    (None, _) => {}
                }
            }
            Op::DiskError { whom, writes, how } => self.disk(whom).fail_after(writes, how),
            Op::Cut { shop, for_ms } => self.cut(shop, for_ms),
            Op::Delay { shop, by_ms } => self.lines[shop].delay_ms = by_ms,
            Op::Duplicate { shop, to_shop } => self.lines[shop].duplicate[usize::from(to_shop)] = true,
            Op::Corrupt { shop, to_shop, bit } => {
                self.lines[shop].corrupt[usize::from(to_shop)] = Some(bit);
            }
            Op::ClockJump { whom, by_ms } => match whom {
                Whom::Coordinator => self.coordinator.ahead_ms += by_ms,
                Whom::Shop(shop) => self.shops[shop].ahead_ms += by_ms,
            },
            Op::Slow { shop, by_ms } => self.shops[shop].slow_ms = by_ms,
        }
    }

    pub(crate) fn disk(&self, whom: Whom) -> &FakeDisk {
        match whom {
            Whom::Coordinator => &self.coordinators_disk,
            Whom::Shop(shop) => &self.shops[shop].disk,
        }
    }
}

fn place(whom: Whom) -> usize {
    match whom {
        Whom::Coordinator => 0,
        Whom::Shop(shop) => shop + 1,
    }
}
