//! What was published last with the shop's data, read once and again only when one of them changed.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use souk_common::catalogue::Catalogue;
use souk_common::dataset::Dataset;
use souk_common::ids::Digest;
use souk_common::learned::{Learned, Learner};
use souk_common::model::{Loaded, Recommender};
use souk_common::round::statements::Manifest;
use souk_common::stack::Collapsed;

use crate::config::ShopConfig;
use crate::folder::Folder;
use crate::interactions::read::{StoredShop, read_store};
use crate::interactions::refresh::{DataVersion, Refreshed, refresh};
use crate::recommend::blobs::{open_plan, read_blob};
use crate::recommend::serving::Serving;
use crate::stack::sources::{Release, Sources, digest_of, epsilon_of};
use crate::store::{Store, blobs_of};

/// What was read last.
#[derive(Default)]
pub struct ShelfCache {
    published: Option<(Digest, Published)>,
    data: Option<(Digest, DataVersion, ReadData)>,
    /// Of which model and data, and whether that model has collapsed for them.
    collapsed: Option<(Digest, Digest, Option<Collapsed>)>,
}

#[derive(Clone)]
struct Published {
    catalogue: Arc<Catalogue>,
    says: Says,
}

#[derive(Clone)]
enum Says {
    Model(Arc<Loaded>),
    Release(Arc<Release>),
}

#[derive(Clone)]
struct ReadData {
    dataset: Arc<Dataset>,
    digest: Digest,
    own_names: Arc<HashMap<String, String>>,
    /// That of the files, where the federation's is not here.
    own: Option<Arc<Catalogue>>,
}

/// What lists are made of.
pub struct ListSources {
    /// Catalogue, data and release.
    pub sources: Sources,
    /// Whether the catalogue is that of the shop's own files.
    pub own_catalogue: bool,
    /// The federation's ids by the shop's own numbers, where they differ.
    pub own_names: Arc<HashMap<String, String>>,
    /// The trained model, where one was published: it scores then.
    pub model: Option<Arc<Loaded>>,
    /// Which model or release that is.
    pub serving: Serving,
}

impl ShelfCache {
    /// Everything as of now.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn get(&mut self, folder: &Folder, store: Option<&Store>) -> anyhow::Result<ListSources> {
        let served = store.map(Store::served_model).transpose()?.flatten();
        let serving = store.map(|store| Serving::of(folder, store)).transpose()?;
        let published = served
            .as_ref()
            .map(|served| self.published(folder, &served.manifest))
            .transpose()?;
        let federations = match &published {
            Some((published, digest)) => Some((Arc::clone(&published.catalogue), *digest)),
            None => catalogue_in_use(folder)?.map(|catalogue| {
                let digest = catalogue.digest();
                (Arc::new(catalogue), digest)
            }),
        };
        let data = match (self.data(folder, federations.as_ref()), &published) {
            (Err(error), None) if store.is_some() => return Err(error.context(NO_TRAINED_MODEL)),
            (data, _) => data?,
        };
        let own_catalogue = federations.is_none();
        let (catalogue, catalogue_digest) = federations
            .or_else(|| {
                let own = data.own.clone()?;
                let digest = own.digest();
                Some((own, digest))
            })
            .context("there is no catalogue")?;
        let model_hash = served.map(|served| served.manifest.model);
        let (model, release) = match published.map(|(published, _)| published.says) {
            Some(Says::Model(model)) => (Some(model), None),
            Some(Says::Release(release)) => (None, Some(release)),
            None => (None, None),
        };
        let collapsed = model
            .as_deref()
            .zip(model_hash)
            .and_then(|(model, hash)| self.collapsed((model, hash), (&data.dataset, data.digest)));
        let sources = Sources {
            catalogue,
            catalogue_digest,
            dataset: data.dataset,
            data_digest: data.digest,
            release,
            collapsed,
        };
        Ok(ListSources {
            own_names: data.own_names,
            own_catalogue,
            model: model.filter(|_| sources.collapsed.is_none()),
            sources,
            serving: serving.unwrap_or_default(),
        })
    }

    /// Whether a model has collapsed, by the shop's customers.
    fn collapsed(
        &mut self,
        (model, hash): (&Loaded, Digest),
        (dataset, digest): (&Dataset, Digest),
    ) -> Option<Collapsed> {
        match &self.collapsed {
            Some((of, by, found)) if (*of, *by) == (hash, digest) => found.clone(),
            _ => {
                let found = Collapsed::of("model", |histories| model.spread(histories), dataset);
                self.collapsed.insert((hash, digest, found)).2.clone()
            }
        }
    }

    fn published(&mut self, folder: &Folder, manifest: &Manifest) -> anyhow::Result<(Published, Digest)> {
        let published = match &self.published {
            Some((digest, published)) if *digest == manifest.model => published.clone(),
            _ => {
                let published = open_published(folder, manifest)?;
                self.published = Some((manifest.model, published.clone()));
                published
            }
        };
        Ok((published, manifest.catalogue))
    }

    fn data(
        &mut self,
        folder: &Folder,
        catalogue: Option<&(Arc<Catalogue>, Digest)>,
    ) -> anyhow::Result<ReadData> {
        let config = ShopConfig::load(folder)?;
        let Refreshed { version, outcome } = refresh(folder, &config)?;
        let digest = catalogue.map_or(Digest::ZERO, |(_, digest)| *digest);
        if let Some((read_for, read_at, data)) = &self.data
            && *read_for == digest
            && *read_at == version
        {
            return Ok(data.clone());
        }
        if !outcome.has_data {
            return Err(outcome.nothing().into());
        }
        let catalogue_used = catalogue.map(|(catalogue, _)| &**catalogue);
        let StoredShop {
            shop: read,
            own_names,
            ..
        } = read_store(folder, &config.data, catalogue_used)?;
        let data = ReadData {
            digest: digest_of(&read.dataset),
            own_names: Arc::new(own_names),
            dataset: Arc::new(read.dataset),
            own: catalogue.is_none().then(|| Arc::new(read.catalogue)),
        };
        self.data = Some((digest, version, data.clone()));
        Ok(data)
    }
}

/// The catalogue in use; none before the first model.
///
/// # Errors
/// When the file is damaged.
pub fn catalogue_in_use(folder: &Folder) -> anyhow::Result<Option<Catalogue>> {
    match folder.disk().read(&folder.catalogue()) {
        Ok(bytes) => Ok(Some(
            Catalogue::from_bytes(&bytes).context("catalogue.jsonl is damaged")?,
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("can't read catalogue.jsonl"),
    }
}

/// Whether a trained model makes lists; of files, its plan's is read for that, and the model's.
///
/// # Errors
/// When the plan is missing or damaged.
pub fn has_model(folder: &Folder, store: &Store) -> anyhow::Result<bool> {
    let Some(served) = store.served_model()? else {
        return Ok(false);
    };
    let [plan, _, _] = blobs_of(&served.manifest);
    Ok(!open_plan(folder, &plan)?.is_of_releases())
}

/// Of a manifest that taught something.
fn open_published(folder: &Folder, manifest: &Manifest) -> anyhow::Result<Published> {
    let [plan, catalogue, learned] = blobs_of(manifest);
    let plan = open_plan(folder, &plan)?;
    let catalogue = Catalogue::from_bytes(&read_blob(folder, &catalogue)?)?;
    let learner = Learner::new(&plan, &catalogue);
    let read = learner.decode(&read_blob(folder, &learned)?);
    let says = match read.with_context(|| folder.blob(&learned).display().to_string())? {
        Learned::Model(params) => {
            let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
            Says::Model(Arc::new(recommender.load(params)))
        }
        Learned::Releases(releases) => Says::Release(Arc::new(Release {
            learner,
            releases,
            epsilon: epsilon_of(&plan),
        })),
    };
    Ok(Published {
        catalogue: Arc::new(catalogue),
        says,
    })
}

/// To somebody whose own orders make no lists either.
pub(super) const NO_TRAINED_MODEL: &str = "no trained model has come from the federation yet, and until one has, lists are made \
                                           of this shop's own orders: mend what follows (`souk-client check-data` says more), or \
                                           wait for the first round (`souk-client run` takes part in it)";
