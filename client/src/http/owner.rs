//! The owner's page, served beside the API.

use std::sync::Arc;

use super::Api;
use super::config::HttpConfig;
use crate::control::Service;
use crate::folder::Folder;
use crate::page::{CustomerLists, CustomerLookUp, Page};
use crate::recommend::RecommendOptions;
use crate::recommend::picture::Picture;

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
}

const LISTED: usize = 10;
