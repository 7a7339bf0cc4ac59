//! The model in use with the shop's data, read once and again only when one of them changed.

use std::fs;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use souk_common::catalogue::Catalogue;
use souk_common::dataset::Dataset;
use souk_common::ids::Digest;
use souk_common::model::{Loaded, Recommender, file};
use souk_common::plan::Plan;
use souk_common::round::statements::Manifest;

use crate::config::ShopConfig;
use crate::data::read_shop;
use crate::folder::Folder;
use crate::participate::Blob;
use crate::recommend::Recommendable;
use crate::store::{Store, blobs_of};

/// The shelf that was read last.
#[derive(Default)]
pub struct ShelfCache {
    model: Option<(Digest, Arc<Loaded>, Arc<Catalogue>)>,
    data: Option<(Digest, Vec<Option<SystemTime>>, Arc<Dataset>)>,
}

impl ShelfCache {
    /// The shelf as of now.
    ///
    /// # Errors
    /// When there is no model yet, or a file is missing or damaged.
    pub fn get(&mut self, folder: &Folder, store: &Store) -> anyhow::Result<Recommendable> {
        let manifest = store
            .current_model()?
            .context("there is no model yet: `souk-client run` fetches one from the coordinator")?;
        let (model, catalogue) = match &self.model {
            Some((digest, model, catalogue)) if *digest == manifest.model => {
                (Arc::clone(model), Arc::clone(catalogue))
            }
            _ => {
                let (model, catalogue) = open_model(folder, &manifest)?;
                self.model = Some((manifest.model, Arc::clone(&model), Arc::clone(&catalogue)));
                (model, catalogue)
            }
        };
        let dataset = self.dataset(folder, &catalogue, manifest.catalogue)?;
        Ok(Recommendable {
            model,
            catalogue,
            dataset,
        })
    }

    fn dataset(
        &mut self,
        folder: &Folder,
        catalogue: &Catalogue,
        digest: Digest,
    ) -> anyhow::Result<Arc<Dataset>> {
        let config = ShopConfig::load(folder)?;
        let changed = |path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let stamps: Vec<_> = config.data_files(folder).into_iter().map(changed).collect();
        if let Some((read_for, read_at, dataset)) = &self.data
            && *read_for == digest
            && *read_at == stamps
        {
            return Ok(Arc::clone(dataset));
        }
        let dataset = Arc::new(read_shop(&config.data, folder.path(), Some(catalogue))?.dataset);
        self.data = Some((digest, stamps, Arc::clone(&dataset)));
        Ok(dataset)
    }
}

/// A fetched blob, checked against its name.
///
/// # Errors
/// When it is missing, or is not what its name says.
pub fn read_blob(folder: &Folder, blob: &Blob) -> anyhow::Result<Vec<u8>> {
    let path = folder.blob(blob);
    let bytes = folder
        .disk()
        .read(&path)
        .with_context(|| format!("can't read {}", path.display()))?;
    ensure!(
        Digest::of(&bytes) == blob.digest,
        "{} is damaged: remove it, and `souk-client run` fetches it again",
        path.display()
    );
    Ok(bytes)
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

/// A plan, by its digest.
///
/// # Errors
/// When it is missing or makes no sense.
pub fn open_plan(folder: &Folder, blob: &Blob) -> anyhow::Result<Plan> {
    Ok(Plan::from_bytes(&read_blob(folder, blob)?)?)
}

fn open_model(folder: &Folder, manifest: &Manifest) -> anyhow::Result<(Arc<Loaded>, Arc<Catalogue>)> {
    let [plan, catalogue, model] = blobs_of(manifest);
    let plan = open_plan(folder, &plan)?;
    let catalogue = Catalogue::from_bytes(&read_blob(folder, &catalogue)?)?;
    let recommender = Recommender::new(&plan.model, &plan.train, &catalogue);
    let (params, _) = file::decode(&read_blob(folder, &model)?, recommender.layout())
        .with_context(|| folder.blob(&model).display().to_string())?;
    Ok((Arc::new(recommender.load(params)), Arc::new(catalogue)))
}
