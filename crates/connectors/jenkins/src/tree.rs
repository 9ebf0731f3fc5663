//! What is asked for: `tree=` expressions, which name every field and bound every list.

/// How many items of one folder, or branches of one job, a request tells: `jobs[…]{0,N}`. What is beyond is asked for by
/// its own request.
pub(crate) const ITEMS: usize = 300;
/// How deep one request looks: the root's items and those of folders in folders in folders, with the branches below.
/// What lies deeper is asked for by its own request.
pub(crate) const DEPTH: usize = 5;

/// A job's or a folder's own fields.
const ITEM: &str = "_class,name,url,color,disabled,inQueue,nextBuildNumber,actions[_class]";
/// Present state: loads one or two builds from Jenkins' disk, which it keeps in memory anyway.
const STATE: &str = "queueItem[inQueueSince],lastBuild[number,timestamp,duration,estimatedDuration,result,building,inProgress],\
                     lastCompletedBuild[number,timestamp,duration,result]";
/// All that a run is made from. `actions` and `changeSets` are read from disk for each build: only asked for when new.
const BUILD: &str = "_class,number,url,displayName,result,building,inProgress,timestamp,duration,estimatedDuration,\
                     actions[_class,causes[_class,shortDescription,userId,userName],lastBuiltRevision[SHA1,branch[name]],remoteUrls,\
                     mercurialRevisionNumber,queuingDurationMillis],changeSets[items[commitId,msg,timestamp,author[fullName]]],\
                     changeSet[items[commitId,msg,timestamp,author[fullName]]]";

/// Items from `from` on, with what lies in them.
pub(crate) fn items(from: usize, depth: usize) -> String {
    let mut tree = String::new();
    for level in (0..depth).rev() {
        let from = if level == 0 { from } else { 0 };
        let inner = if tree.is_empty() { String::new() } else { format!(",{tree}") };
        tree = format!("jobs[{ITEM},{STATE}{inner}]{{{from},{}}}", from + ITEMS);
    }
    tree
}

/// One item with its state and what lies in it.
pub(crate) fn item(from: usize, depth: usize) -> String {
    format!("{ITEM},{STATE},fullName,{}", items(from, depth))
}

/// One item as `project` needs it: also whether it is a branch of another one.
pub(crate) fn project() -> String {
    format!("{ITEM},{STATE},fullName,property[_class],{}", items(0, 1))
}

/// The newest builds of one job. `builds` has the newest 100 at most.
pub(crate) fn builds(count: usize) -> String {
    format!("builds[{BUILD}]{{0,{count}}},firstBuild[number]")
}

/// All builds of one job, a page of them.
pub(crate) fn all_builds(from: usize, count: usize) -> String {
    format!("allBuilds[{BUILD}]{{{from},{}}}", from + count)
}

/// The newest builds of each branch, for some of the branches.
pub(crate) fn builds_of_branches(from: usize, branches: usize, count: usize) -> String {
    format!("jobs[_class,name,{}]{{{from},{}}}", builds(count), from + branches)
}

/// One build.
pub(crate) fn build() -> &'static str {
    BUILD
}

/// Branches with their newest commit.
pub(crate) fn branches(from: usize, count: usize) -> String {
    format!(
        "_class,jobs[_class,name,url,color,disabled,actions[_class],lastBuild[{BUILD}]]{{{from},{}}}",
        from + count
    )
}

/// One branch with its newest commit.
pub(crate) fn branch() -> String {
    format!("_class,name,url,color,disabled,actions[_class],lastBuild[{BUILD}]")
}

/// The names of a job's branches.
pub(crate) const NAMES: &str = "_class,jobs[name]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_nest_and_fit_a_request() {
        assert_eq!(items(0, 1), format!("jobs[{ITEM},{STATE}]{{0,300}}"));
        assert_eq!(items(300, 2), format!("jobs[{ITEM},{STATE},jobs[{ITEM},{STATE}]{{0,300}}]{{300,600}}"));
        let url = url::Url::parse_with_params("http://host/api/json", [("tree", item(0, DEPTH))]).unwrap();
        assert!(url.as_str().len() < 4_000, "Jetty takes 8 KB of headers: {}", url.as_str().len());
        for tree in [
            item(0, DEPTH),
            project(),
            builds(5),
            all_builds(100, 100),
            builds_of_branches(0, 9, 9),
            branches(0, 100),
        ] {
            assert_eq!(tree.matches('[').count(), tree.matches(']').count(), "{tree}");
            assert!(!tree.contains(char::is_whitespace), "{tree}");
        }
    }
}
