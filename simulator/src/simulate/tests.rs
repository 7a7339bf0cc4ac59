//! The command over a made-up market, and what it says of nonsense.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use tempfile::TempDir;

use super::compare::Mean;
use super::folder::RunFolder;
use super::setting::Setting;
#[cfg(not(feature = "parquet"))]
use super::table::TableFile;
use super::table::to_json_lines;
use super::{SimulateArgs, compare, plot, run, templates};
use crate::data::plans::{Template, names};
use crate::error::{Unusable, WrongUsage};
use crate::world::rounds::RoundLine;
use crate::world::saved::Saved;
use crate::world::{Out, Watch, World, members_of};

/// A line of a round that went well.
pub(super) fn a_line(round: u64) -> RoundLine {
    RoundLine {
        round,
        attempt: 1,
        published: true,
        why: None,
        cohort: 5,
        declined: 0,
        accepted: 4,
        dropped: 1,
        late: 0,
        bytes_up: 4000,
        bytes_down: 5000,
        virtual_seconds: 1.5 * round as f64,
        epsilon: Some(0.25),
        hit_rate_full: None,
        ndcg_full: None,
        hit_rate_leak_free: None,
        ndcg_leak_free: None,
    }
}

#[test]
fn lines_are_json_objects_one_a_line_and_come_back() {
    let lines = [a_line(1), a_line(2)];
    let text = to_json_lines(&lines).unwrap();
    let read: Vec<RoundLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, lines);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_without_the_feature_is_refused_with_how_to_get_it() {
    let error = TableFile::new("rounds.parquet".into()).err().unwrap().to_string();
    assert!(
        error.contains("--features parquet") && error.contains(".jsonl"),
        "{error}"
    );
    assert!(TableFile::new("rounds.jsonl".into()).is_ok());
}

#[test]
fn an_error_takes_two_seeds() {
    assert_eq!(Mean::of(&[]), None);
    assert_eq!(Mean::of(&[0.5]).unwrap().standard_error, None);
    let of_two = Mean::of(&[0.25, 0.75]).unwrap();
    assert!((of_two.mean - 0.5).abs() < 1e-12 && (of_two.standard_error.unwrap() - 0.25).abs() < 1e-12);
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

/// A folder with a plan, and runs of it over a made-up market.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::write(place.path("plan.toml"), PLAN).unwrap();
        fs::write(place.path("releases.toml"), RELEASES).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn args(&self, plans: &[&str], more: &str) -> Result<SimulateArgs, String> {
        let plans = plans
            .iter()
            .map(|plan| self.path(plan).to_str().unwrap().to_owned());
        let here = format!("{}/", self.0.path().display());
        let more = more.split_whitespace().map(|word| word.replace("HERE/", &here));
        let words = std::iter::once("simulate".to_owned()).chain(plans).chain(more);
        Cli::try_parse_from(words)
            .map(|cli| cli.args)
            .map_err(|error| error.to_string())
    }

    /// Four purchases each of so many customers.
    fn has_orders(&self, customers: usize) {
        let mut text = "user_id,item_id,timestamp\n".to_owned();
        for customer in 0..customers {
            for at in 0..4 {
                let item = (customer * 7 + at * (1 + customer % 3)) % 11;
                text += &format!("u{customer},i{item},{}\n", 1_700_000_000 + 86_400 * at);
            }
        }
        fs::write(self.path("orders.csv"), text).unwrap();
    }

    fn run(&self, plan: &str, more: &str) -> anyhow::Result<bool> {
        run(&self.args(&[plan], more).map_err(anyhow::Error::msg)?)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A run that is killed after its second round, in folder `name`.
    fn killed(&self, more: &str, name: &str) -> RunFolder {
        let args = self
            .args(&["plan.toml"], &format!("{more} --out-dir HERE/{name}"))
            .unwrap();
        let setting = Setting::new(args.source.load(3, args.seed).unwrap());
        let template = Template::read(&args.plans[0]).unwrap();
        let plan = setting.plan(&template, args.seed, args.quorum).unwrap();
        let settings = args.settings();
        let open = || RunFolder::open(&self.path(name), 1, &setting, (&plan, &settings, args.seed)).unwrap();
        let mut killed = Killed(open(), Vec::new());
        let members = members_of(&setting.split.train, &[], &setting.known.shop_of, &names(&plan));
        let world = World::from(
            &plan,
            &setting.known.catalogue,
            members,
            (settings.line, None),
            args.seed,
            None,
        );
        assert!(world.unwrap().run_watched(&mut killed).is_err());
        open()
    }
}

struct Killed(RunFolder, Vec<RoundLine>);

impl Watch for Killed {
    fn ended(&mut self, line: RoundLine, _: Option<&Out>) -> anyhow::Result<()> {
        self.1.push(line);
        Ok(())
    }

    fn wants_epsilon(&self) -> bool {
        true
    }

    fn saves(&self, _: u64) -> bool {
        true
    }

    fn save(&mut self, saved: &Saved) -> anyhow::Result<()> {
        self.0.save(saved, &self.1)?;
        anyhow::ensure!(saved.round() < 2, "killed");
        Ok(())
    }
}

#[test]
fn one_thread_or_four_or_a_kill_in_between_the_same_bytes() {
    let place = Place::new();
    let market = "--synthetic --shops 5 --customers 8 --dirichlet 0.5 --dropout 0.2 --quorum 3 --seed 3";
    for threads in ["1", "4"] {
        let more = format!(
            "{market} --threads {threads} --out HERE/model{threads} --table HERE/table{threads}.jsonl"
        );
        assert!(place.run("plan.toml", &more).unwrap());
    }
    assert_eq!(place.read("model1"), place.read("model4"));
    assert_eq!(place.read("table1.jsonl"), place.read("table4.jsonl"));
    let mut there = place.killed(market, "killed");
    assert_eq!(there.take_saved().map(|saved| saved.round()), Some(2));
    for folder in ["killed", "whole"] {
        assert!(
            place
                .run("plan.toml", &format!("{market} --out-dir HERE/{folder}"))
                .unwrap()
        );
    }
    for file in ["model", "rounds.jsonl", "run.json"] {
        let both = ["killed", "whole"].map(|folder| place.read(&format!("{folder}/{file}")));
        assert!(both[0] == both[1], "{file}");
    }
    assert!(!place.path("killed/checkpoint").exists());
    // A complete run is not run again.
    let before = place.read("whole/result.json");
    assert!(
        place
            .run("plan.toml", &format!("{market} --out-dir HERE/whole"))
            .unwrap()
    );
    assert_eq!(place.read("whole/result.json"), before);
}

#[test]
fn a_folder_of_another_run_and_what_is_damaged_are_refused_with_what_to_do() {
    let place = Place::new();
    let market = "--synthetic --shops 3 --customers 6";
    place.killed(market, "run");
    let refused = |plan: &str, more: &str| {
        let error = place
            .run(plan, &format!("{market} --out-dir HERE/run {more}"))
            .unwrap_err();
        (
            error.is::<WrongUsage>(),
            error.is::<Unusable>(),
            format!("{error:#}"),
        )
    };
    for (more, what) in [
        ("--seed 4", "--seed"),
        ("--rounds 9", "plan"),
        ("--quorum 2", "plan"),
        ("--dropout 0.5", "--dropout"),
        ("--dirichlet 0.5", "data"),
        ("--drift=0.5", "--drift"),
        ("--checkpoint-every 2", "--checkpoint-every"),
    ] {
        let (usage, _, said) = refused("plan.toml", more);
        assert!(
            usage && said.contains(what) && said.contains("new folder"),
            "{more}: {said}"
        );
    }
    fs::write(place.path("run/checkpoint"), b"souk simulation 1\nwhat is this").unwrap();
    let (_, unusable, said) = refused("plan.toml", "");
    assert!(
        unusable && said.contains("checkpoint") && said.contains("Remove"),
        "{said}"
    );
    fs::write(place.path("run/run.json"), b"{").unwrap();
    let (_, unusable, said) = refused("plan.toml", "");
    assert!(unusable && said.contains("run.json"), "{said}");
    fs::remove_file(place.path("run/run.json")).unwrap();
    let (usage, _, said) = refused("plan.toml", "");
    assert!(usage && said.contains("something else"), "{said}");
}

#[test]
fn nonsense_is_refused_by_its_name() {
    let place = Place::new();
    for more in [
        "--synthetic --shops 0",
        "--synthetic --customers 0",
        "--synthetic --dirichlet 0",
        "--synthetic --dirichlet -1",
        "--synthetic --dirichlet nan",
        "--synthetic --stragglers 0.5",
        "--synthetic --stragglers 2:3",
        "--synthetic --stragglers 0.5:0.5",
        "--synthetic --drift=0",
        "--synthetic --epsilon 1,0",
        "--synthetic --seeds 0",
        "--synthetic --threads 0",
        "--customers 20",
        "--synthetic --by user-hash",
        "--synthetic --checkpoint-every 2",
        "",
    ] {
        assert!(place.args(&["plan.toml"], more).is_err(), "{more}");
    }
    place.has_orders(4);
    let said = place.run("plan.toml", "--data HERE/ --shops 9").unwrap_err();
    assert!(
        said.is::<WrongUsage>() && said.to_string().contains("4 customers"),
        "{said}"
    );
    let kept = place
        .run("plan.toml", "--synthetic --seeds 2 --out HERE/x")
        .unwrap_err();
    assert!(
        kept.is::<WrongUsage>() && kept.to_string().contains("--out"),
        "{kept}"
    );
    let rounds = place.run("releases.toml", "--synthetic --rounds 3").unwrap_err();
    assert!(
        rounds.is::<WrongUsage>() && rounds.to_string().contains("releases"),
        "{rounds}"
    );
    fs::write(place.path("none.toml"), "name = 'x'").unwrap();
    let none = place.run("none.toml", "--synthetic").unwrap_err();
    assert!(
        none.is::<WrongUsage>() && format!("{none:#}").contains("none.toml"),
        "{none:#}"
    );
}

#[test]
fn plans_are_compared_and_drawn_with_what_the_figures_are_of() {
    let place = Place::new();
    let market =
        "--synthetic --shops 3 --customers 8 --rounds 2 --epsilon 2,8 --seeds 2 --plot HERE/utility.svg";
    let args = place.args(&["plan.toml"], market).unwrap();
    let setting = Setting::new(args.source.load(3, 0).unwrap());
    let compared = compare::compare(&args.asked(), &setting, &templates(&args).unwrap()).unwrap();
    assert_eq!(compared.rows.len(), 2);
    for (row, asked) in compared.rows.iter().zip([2.0, 8.0]) {
        let epsilon = row.epsilon.unwrap();
        assert!(
            epsilon <= asked && epsilon > 0.95 * asked && row.epsilon_asked == Some(asked),
            "{row:?}"
        );
        let full = row.hit_rate_full.unwrap();
        assert!(full.seeds == 2 && full.standard_error.is_some() && row.failed.is_empty());
    }
    let svg = plot::svg(&compared).unwrap();
    for words in [
        "HR@10 against all unseen items",
        "2 seeds",
        "one standard error",
        "synthetic: 3 shops",
        // Labels under both epsilons.
        "\n2\n",
        "\n8\n",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    // A quorum that never comes together is in no mean, and said.
    let args = place
        .args(&["plan.toml"], &format!("{market} --stragglers 1:1000000"))
        .unwrap();
    let compared = compare::compare(&args.asked(), &setting, &templates(&args).unwrap()).unwrap();
    assert!(
        compared
            .rows
            .iter()
            .all(|row| row.failed.len() == 2 && row.hit_rate_full.is_none())
    );
    assert!(
        plot::svg(&compared)
            .unwrap_err()
            .to_string()
            .contains("nothing to draw")
    );
}

#[test]
fn releases_are_carried_out_and_scored_by_the_shops_lists() {
    let place = Place::new();
    place.has_orders(60);
    assert!(
        place
            .run("releases.toml", "--data HERE/ --table HERE/table.jsonl")
            .unwrap()
    );
    let text = String::from_utf8(place.read("table.jsonl")).unwrap();
    let lines: Vec<RoundLine> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.iter().map(|line| line.round).collect::<Vec<_>>(), [1, 2]);
    assert!(lines[0].hit_rate_full.is_none() && lines[1].hit_rate_full.is_some());
    assert!(lines[0].epsilon < lines[1].epsilon);
}

const PLAN: &str = "name = 'small'\nrounds = 4\n[model]\nkind = 'mf'\ngmf_dim = 2\nitem_bias = false\n[train]\nsolver = 'ials'\n\
    alpha = 0.2\nlambda = 1\n[privacy]\nclip_norm = 1\nnoise_multiplier = 2\nsampling_rate = 1.0\n[cohort]\nquorum = 3\n\
    attempts = 20\ndeadline = '1m'\n[server]\noptimiser = 'adam'\nlearning_rate = 0.05\n[[shops]]\nname = 'a'\ndeclared_users = 30\n[[shops]]\nname = 'b'\n\
    declared_users = 30\n[[shops]]\nname = 'c'\ndeclared_users = 30\n";
const RELEASES: &str = "name = 'released'\n[privacy]\nclip_norm = 1\nnoise_multiplier = 0.2\nsampling_rate = 1.0\n[cohort]\n\
    quorum = 2\ndeadline = '1m'\n[[release]]\nkind = 'popularity'\nshare = 0.3\n[[release]]\nkind = 'collaborative'\n\
    share = 0.7\n[[shops]]\nname = 'a'\ndeclared_users = 30\n[[shops]]\nname = 'b'\n\
    declared_users = 30\n[[shops]]\nname = 'c'\ndeclared_users = 30\n";
