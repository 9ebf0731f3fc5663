//! What is asked for: `tree=` expressions, which name every field and bound every list.

/// How many items of one folder, or branches of one job, a request tells: `jobs[…]{0,N}`. What is beyond is asked for by
/// its own request.
pub(crate) const ITEMS: usize = 300;
/// How deep one request looks: the root's items and those of folders in folders in folders, with the branches below.
/// What lies deeper is asked for by its own request.
pub(crate) const DEPTH: usize = 5;

/// A job's or a folder's own fields.
const ITEM: &str = "_class,name,url,color,disabled,inQueue,nextBuildNumber,actions[_class]";
/// What waits, and how the newest build that has ended did.
const STATE: &str = "queueItem[inQueueSince],lastCompletedBuild[number,timestamp,duration,result]";
/// How the newest build is: loads it from Jenkins' disk, which keeps it in memory anyway.
const LAST: &str = "number,timestamp,duration,estimatedDuration,result,building,inProgress";
/// All that a run is made from; classes are told unasked. What is new in a build is read from a file of its own once, and
/// kept with the build.
const BUILD: &str = "number,url,displayName,result,building,inProgress,timestamp,duration,estimatedDuration,\
                     actions[causes[userId,userName],lastBuiltRevision[SHA1,branch[name]],remoteUrls,mercurialRevisionNumber,\
                     queuingDurationMillis],changeSets[items[commitId,msg,timestamp,author[fullName]]],\
                     changeSet[items[commitId,msg,timestamp,author[fullName]]]";

/// How many of each job's builds are told whole: the newest may have come with another one since the last time.
pub(crate) const TOLD_WHOLE: usize = 2;

/// How much of each job's newest builds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Newest {
    /// How it is.
    State,
    /// All of it, with what started it and whose commit it is.
    Whole,
}

impl Newest {
    fn fields(self) -> String {
        match self {
            Self::State => format!("lastBuild[{LAST}]"),
            Self::Whole => format!("builds[{BUILD}]{{0,{TOLD_WHOLE}}}"),
        }
    }
}

/// Items from `from` on, with what lies in them.
pub(crate) fn items(from: usize, depth: usize, newest: Newest) -> String {
    let newest = newest.fields();
    let mut tree = String::new();
    for level in (0..depth).rev() {
        let from = if level == 0 { from } else { 0 };
        let inner = if tree.is_empty() { String::new() } else { format!(",{tree}") };
        tree = format!("jobs[{ITEM},{STATE},{newest}{inner}]{{{from},{}}}", from + ITEMS);
    }
    tree
}

/// One item with its state and what lies in it.
pub(crate) fn item(from: usize, depth: usize, newest: Newest) -> String {
    format!("{ITEM},{STATE},{},fullName,{}", newest.fields(), items(from, depth, newest))
}

/// One item as `project` needs it: also whether it is a branch of another one.
pub(crate) fn project() -> String {
    format!("{ITEM},{STATE},lastBuild[{LAST}],fullName,property[_class],{}", items(0, 1, Newest::State))
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
        let job = format!("{ITEM},{STATE},lastBuild[{LAST}]");
        assert_eq!(items(0, 1, Newest::State), format!("jobs[{job}]{{0,300}}"));
        assert_eq!(items(300, 2, Newest::State), format!("jobs[{job},jobs[{job}]{{0,300}}]{{300,600}}"));
        let whole = item(0, DEPTH, Newest::Whole);
        let url = url::Url::parse_with_params("http://host/api/json", [("tree", &whole)]).unwrap();
        assert!(url.as_str().len() < 6_500, "Jetty takes 8 KB of headers: {}", url.as_str().len());
        for tree in [
            item(0, DEPTH, Newest::State),
            whole,
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
