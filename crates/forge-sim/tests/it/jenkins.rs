//! Jenkins has no description of its own to be held against: here the face is held against what is known of the real one –
//! recorded rows, where they are, and the rules of its API.

use std::collections::BTreeSet;

use crate::common::{get, get_anonymously, get_as};
use forge_sim::jenkins::FACE;
use forge_sim::{NARROW_TOKEN, Sim};
use serde_json::{Value, json};

async fn sim() -> Sim {
    let (builder, _) = crate::common::still(60);
    builder.faces([FACE]).start().await.unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_tree_gives_what_it_names_and_nothing_else() {
    let sim = sim().await;
    let root = format!("{}/jenkins", sim.jenkins_url());
    let tree = |tree: &str| {
        format!(
            "{root}/api/json?tree={}",
            tree.replace('[', "%5B").replace(']', "%5D").replace('{', "%7B").replace('}', "%7D")
        )
    };
    let told = get(&tree("jobs[name,jobs[name,lastBuild[number]]{0,2}]{1,3}")).await.json();
    assert_eq!(keys(&told), ["_class", "jobs"].into());
    let jobs = told["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    let all = get(&tree("jobs[name]")).await.json();
    assert_eq!(jobs[0]["name"], all["jobs"][1]["name"], "from the second on");
    for folder in jobs {
        assert!(folder["jobs"].as_array().unwrap().len() <= 2);
        for job in folder["jobs"].as_array().unwrap() {
            assert!(keys(job).is_subset(&["_class", "name", "lastBuild"].into()), "{job}");
        }
    }
    assert_eq!(get(&tree("nothing,such[thing]")).await.json(), json!({ "_class": "hudson.model.Hudson" }));
    assert_eq!(get(&tree("jobs[name")).await.status, 400);
    let plain = get(&format!("{root}/api/json")).await.json();
    assert!(
        plain["jobs"][0]["url"].as_str().unwrap().starts_with(&format!("{root}/job/")),
        "below the prefix: {plain}"
    );
}

#[tokio::test]
async fn builds_are_the_newest_hundred_and_all_builds_the_rest() {
    let sim = sim().await;
    let base = format!("{}/all-single", sim.jenkins_url());
    let path = sim.world().with(|w| {
        let most = w.projects_of(FACE).max_by_key(|p| p.pipelines().len()).unwrap();
        most.full_path().split('/').map(|part| format!("/job/{part}")).collect::<String>()
    });
    let numbers = async |tree: &str, list: &str| -> Vec<u64> {
        let told = get(&format!("{base}{path}/api/json?tree={tree}")).await.json();
        told[list].as_array().unwrap().iter().map(|b| b["number"].as_u64().unwrap()).collect()
    };
    let newest = numbers("builds%5Bnumber%5D", "builds").await;
    let all = numbers("allBuilds%5Bnumber%5D", "allBuilds").await;
    assert!(newest.len() <= 100 && all.starts_with(&newest));
    assert!(all.windows(2).all(|two| two[0] > two[1]), "newest first");
    let page = numbers("allBuilds%5Bnumber%5D%7B3,5%7D", "allBuilds").await;
    assert_eq!(page, all[3..5]);
    let last = get(&format!("{base}{path}/{}/api/json", all[0])).await.json();
    for key in [
        "number",
        "id",
        "result",
        "building",
        "inProgress",
        "timestamp",
        "duration",
        "estimatedDuration",
        "actions",
    ] {
        assert!(last.get(key).is_some(), "{key}: {last}");
    }
    assert_eq!(get(&format!("{base}{path}/999999/api/json")).await.status, 404);
}

#[tokio::test]
async fn the_doors_answer_as_jenkins_do() {
    let sim = sim().await;
    let url = format!("{}/api/json", sim.jenkins_url());
    let open = get(&url).await;
    assert!(open.headers["x-jenkins"].starts_with("2.") && !open.headers.contains_key("etag"));
    let wrong = get_as(&url, "nobody's", &[]).await;
    assert_eq!((wrong.status, wrong.headers["content-type"].as_str()), (401, "text/html;charset=utf-8"));
    let narrow = get_as(&url, NARROW_TOKEN, &[]).await;
    assert_eq!(narrow.status, 403);
    assert!(narrow.headers.contains_key("x-required-permission"));
    let public = get_anonymously(&url).await.json();
    assert!(public["jobs"].as_array().unwrap().len() < open.json()["jobs"].as_array().unwrap().len());
    assert_eq!(get_anonymously(&format!("{}/me/api/json", sim.jenkins_url())).await.status, 403);
    let who = get_anonymously(&format!("{}/whoAmI/api/json", sim.jenkins_url())).await.json();
    assert_eq!(who["name"], "anonymous");
}
