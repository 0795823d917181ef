//! Putting back what a backup holds.

use uuid::Uuid;

use super::address::Address;
use super::assets::SCHEMA;
use super::client::Filter;
use super::found::Listed;
use super::ids::Kind;
use super::kept::{self, Files, Object};
use super::session::Session;
use super::survey::is_ours;
use crate::backup::Backup;
use crate::config::{Config, Secret};
use crate::error::{self, Error, Result};
use crate::http::one_line;
use crate::plan::{Action, Plan, Step};

/// What a backup puts back, and in place of what.
pub struct Restoration {
    /// The objects of the backup: those that are there are changed.
    pub plan: Plan,
    session: Session,
    address: Address,
    files: Files,
    /// The objects that are replaced.
    there: Vec<(Kind, u64)>,
    /// The password of each connection, by its file.
    passwords: Vec<(String, Secret)>,
}

/// What is there of an object of a backup.
#[derive(Debug, Default)]
struct There {
    /// The object itself.
    same: Option<u64>,
    /// One that the pipeline file made under its name, as when it had been adopted.
    ours: Option<u64>,
}

impl Restoration {
    /// Looks at what there is of a backup's objects. Refused is what would replace an object that is neither the backup's nor ours:
    /// an import takes over what has the name of one of its objects.
    pub async fn plan(config: &Config, backup: &Backup) -> Result<Self> {
        let files = kept::from_objects(&backup.objects)?;
        let objects = kept::read(&files)?;
        let address = Address::of(config)?;
        let session = Session::login(&config.superset).await?;
        let mut kinds: Vec<Kind> = objects.iter().map(|object| object.kind).collect();
        kinds.dedup();
        session.may_write(&kinds).await?;
        let (mut plan, mut there, mut passwords) = (Plan::default(), Vec::new(), Vec::new());
        for object in &objects {
            let now = look(&session, &config.name, object).await?;
            let password = password(object, &now, &address);
            plan.steps.push(step(&config.name, object, &now, password.as_ref()));
            there.extend(now.same.into_iter().chain(now.ours).map(|id| (object.kind, id)));
            passwords.extend(password.map(|password| (object.path.clone(), password)));
        }
        Ok(Self { plan, session, address, files, there, passwords })
    }

    /// Puts the objects back. What is there now is kept first; what was made since the backup, and is not in it, stays.
    pub async fn carry_out(&self, config: &Config) -> Result<()> {
        super::keep(config, &self.session, &self.there).await?;
        let reply = self.session.import_zip(kept::zip(&self.files)?, &self.passwords, &self.address).await?;
        self.session.imported(&reply, &self.address)
    }
}

async fn look(session: &Session, pipeline: &str, object: &Object) -> Result<There> {
    let same = session.by_uuid(object.kind, object.uuid).await?.map(|one| one.id);
    let Some((column, name)) = object.unique_name() else { return Ok(There { same, ours: None }) };
    let namesakes = session.list(object.kind, Filter::Is(column, name)).await?;
    let in_the_way = |one: &&Listed| one.uuid != object.uuid && (object.kind != Kind::Dataset || one.schema == object.schema);
    let Some(other) = namesakes.iter().find(in_the_way) else { return Ok(There { same, ours: None }) };
    if is_of_file(pipeline, object, other.uuid) {
        return Ok(There { same, ours: Some(other.id) });
    }
    let (kind, name) = (object.kind, one_line(name));
    let what = format!("Superset has a {kind} with the {column} `{name}` that is neither the backup's nor of this pipeline file");
    Err(Error::new(error::Kind::Failed, format!("{what} (number {}, uuid {})", other.id, other.uuid))
        .hint("rename or delete that one in Superset, then run this again; nothing was changed"))
}

/// Whether an object of this name and uuid is one that the pipeline file made.
fn is_of_file(pipeline: &str, object: &Object, uuid: Uuid) -> bool {
    let name = match object.kind {
        Kind::Database => SCHEMA,
        Kind::Chart => &object.name,
        Kind::Dataset | Kind::Dashboard => object.unique_name().map_or("", |(_, name)| name),
    };
    is_ours(pipeline, object.kind, name, uuid)
}

/// The password that a connection is put back with. A backup holds none; ours goes where the pipeline file sends it and nowhere
/// else. `None`: it has none, or Superset still has it.
fn password(object: &Object, now: &There, address: &Address) -> Option<Secret> {
    let uri = object.uri.as_deref().filter(|uri| kept::has_password(uri))?;
    match &address.password {
        Some(ours) if address.is_of_same_user(uri) => Some(ours.clone()),
        // Without any, Superset refuses the import.
        _ if now.same.is_none() => Some(Secret::new("")),
        _ => None,
    }
}

fn step(pipeline: &str, object: &Object, now: &There, password: Option<&Secret>) -> Step {
    let is_there = now.same.or(now.ours).is_some();
    let mut effects = Vec::new();
    if now.ours.is_some() {
        effects.push("in place of the one that this pipeline file made");
    } else if !is_of_file(pipeline, object, object.uuid) {
        effects.push("this pipeline file did not make it");
    }
    if password.is_some_and(|password| password.expose().is_empty()) {
        effects.push("without its password, which no backup holds: type it in Superset");
    }
    Step {
        kind: object.kind.word(),
        name: one_line(&object.name),
        action: if is_there { Action::Change(Vec::new()) } else { Action::Create },
        effect: if effects.is_empty() { None } else { Some(effects.join("; ")) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::superset::testing::sales;

    fn connection(uri: &str) -> Object {
        let text = format!("database_name: Theirs\nsqlalchemy_uri: {uri}\nuuid: 08a8dfb1-6adc-59cc-b6b1-388609050813\n");
        kept::read(&Files::from([("databases/d.yaml".into(), text)])).unwrap().remove(0)
    }

    #[test]
    fn our_password_goes_to_our_user_at_our_druid_and_nowhere_else() {
        let address = Address::of(&sales()).unwrap();
        let sent = |uri: &str, same| {
            let now = There { same, ours: None };
            password(&connection(uri), &now, &address).map(|password| password.expose().to_owned())
        };
        let ours = sales().druid.password.unwrap().expose().to_owned();
        let their_user = "druid://somebody:XXXXXXXXXX@127.0.0.1:8888/druid/v2/sql";
        let their_druid = "druid://druid_system:XXXXXXXXXX@elsewhere:8888/druid/v2/sql";
        assert_eq!(sent("druid://druid_system:XXXXXXXXXX@127.0.0.1:8888/druid/v2/sql", None), Some(ours));
        for uri in [their_user, their_druid] {
            assert_eq!(sent(uri, None).as_deref(), Some(""), "{uri}");
            assert_eq!(sent(uri, Some(4)), None, "Superset still has the password of {uri}");
        }
        assert_eq!(sent("druid://127.0.0.1:8888/druid/v2/sql", None), None);
    }

    #[test]
    fn what_is_put_back_is_told_before() {
        let object = connection("druid://somebody:XXXXXXXXXX@h:1/druid/v2/sql");
        let told = |now: &There| {
            let plan = Plan { steps: vec![step("kafka-101", &object, now, Some(&Secret::new("")))] };
            crate::plan::Told { plan: &plan, done: false }.to_string()
        };
        insta::assert_snapshot!(told(&There { same: None, ours: Some(1) }), @r"
        change     database   Theirs
                              (in place of the one that this pipeline file made; without its password, which no backup holds: type it in Superset)
        ");
        assert!(told(&There::default()).starts_with("create     database   Theirs\n"));
    }
}
