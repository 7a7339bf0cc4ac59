//! The owner's page, served beside the API.

use std::sync::Arc;

use anyhow::ensure;
use souk_common::clock::Timestamp;
use souk_common::ids::Digest;

use super::Api;
use super::config::HttpConfig;
use crate::control::Service;
use crate::experiment::ExperimentConfig;
use crate::experiment::exposures::Exposures;
use crate::experiment::report::ExperimentReport;
use crate::folder::Folder;
use crate::page::{CustomerLists, CustomerLookUp, Page, RulesState, ServiceNews};
use crate::recommend::RecommendOptions;
use crate::recommend::picture::Picture;
use crate::recommend::rules_report::{self, RulesReport};
use crate::rules::edit::RulesNotWritten;

impl Api {
    /// Serves the page of the shop's owner too, of what the running program says by `service`; once.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn with_page(
        &self,
        folder: &Folder,
        config: &HttpConfig,
        service: Arc<Service>,
    ) -> anyhow::Result<Arc<Page>> {
        let (tokens, clock) = (Arc::clone(&self.tokens), Arc::clone(&self.clock));
        let page = Page::new(folder, service, tokens, clock, config.tls_cert.is_some())?;
        Ok(Arc::clone(self.page.get_or_init(|| Arc::new(page))))
    }
}

impl Api {
    /// What the page shows of this service.
    pub(super) fn news(&self, now: Timestamp) -> ServiceNews {
        let report = |(config, _): &(ExperimentConfig, Exposures)| {
            let shelf = self.lists.shelf().ok_or("there are no lists yet")?;
            let report = ExperimentReport::of_shop(&self.folder, config, &shelf, &self.live, now);
            report.map_err(|error| format!("experiment/{}.jsonl: {error}", config.name()))
        };
        ServiceNews {
            rules_told: self.lists.told_of_rules(),
            experiment: self.experiment.as_ref().map(report),
        }
    }
}

impl CustomerLists for Api {
    fn look_up(&self, user: &str) -> Option<CustomerLookUp> {
        let shelf = self.lists.shelf()?;
        let (visit, row) = (self.visit(&shelf, user), shelf.customer(user));
        let customer = visit.customer(row);
        let wishes = RecommendOptions {
            k: LISTED,
            include_bought: false,
            explain: true,
        };
        let of_arm = self.lists_of_arm(&shelf, user);
        let lists = of_arm.as_ref().unwrap_or(&shelf.lists);
        let list = lists.recommend(customer, &wishes);
        let scores = lists.scores(customer).values;
        let bought = lists.items_of(customer);
        let catalogue = &shelf.lists.catalogue;
        let listed = list.items.iter();
        let best = listed.filter_map(|item| catalogue.row(&item.item_id)).collect();
        let items = catalogue.items();
        let named = |item: &u32| {
            let item = &items[*item as usize];
            (item.id.clone(), item.title.clone())
        };
        Some(CustomerLookUp {
            known: row.is_some() || list.personal,
            items: bought.iter().rev().map(named).collect(),
            list,
            picture: Picture {
                user_id: user.to_owned(),
                scores,
                best,
                bought,
            },
        })
    }

    fn rules(&self) -> RulesState {
        RulesState {
            // Looked at first: what is told is of this look.
            in_force: self.lists.rules_in_force(),
            told: self.lists.told_of_rules(),
            feeds: self.lists.rules.feeds.states(),
            file: self.lists.rules.text(),
        }
    }

    fn try_rules(&self, text: &str, user: Option<&str>) -> anyhow::Result<RulesReport> {
        ensure!(
            !self.lists.wait_for_a_fit()?,
            "lists are being made from new data just now, which takes a minute or more: try again then"
        );
        let is_known = |user: &&str| {
            let shelf = self.lists.shelf();
            shelf.is_some_and(|shelf| shelf.customer(user).is_some())
        };
        rules_report::report(&self.lists, Some(text), user.filter(is_known))
    }

    fn save_rules(&self, was: Digest, text: &str) -> Result<(), RulesNotWritten> {
        self.lists.rules.replace(was, text)?;
        // They were tried just before, so that lists do not wait for a fit.
        if let Err(error) = self.lists.renew_shelf(self.clock.now()) {
            // The page says so as well, as soon as it is shown.
            tracing::warn!(
                error = format!("{error:#}"),
                "rules were saved, and lists can't be made"
            );
        }
        Ok(())
    }
}

const LISTED: usize = 10;
