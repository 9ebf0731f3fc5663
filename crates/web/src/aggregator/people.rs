//! `ui.show_people: false`: names leave the answers before anything can show them.

use api::v1;

/// An answer that may name people.
pub(super) trait People {
    /// Takes the people out.
    fn hide_people(&mut self);
}

impl<T: People> People for Option<T> {
    fn hide_people(&mut self) {
        if let Some(inner) = self {
            inner.hide_people();
        }
    }
}

impl<T: People> People for Vec<T> {
    fn hide_people(&mut self) {
        self.iter_mut().for_each(People::hide_people);
    }
}

macro_rules! people_in {
    // people_in!(v1::X: a, b) => hides the people in these fields of X.
    ($($message:ident: $($field:ident),*;)+) => {
        $(impl People for v1::$message {
            fn hide_people(&mut self) {
                $(self.$field.hide_people();)*
            }
        })+
    };
}

people_in! {
    BrokenSince: run, fix;
    BranchState: broken_since, waiting, pipelines, deciding;
    Row: branch;
    ListProjectsResponse: rows, sources;
    GetProjectResponse: row, source;
    ExplainProjectResponse: row, source;
    ListPipelinesResponse: pipelines;
    GetPipelineResponse: pipeline, source;
    ListBranchesResponse: branches;
    ListMergeRequestsResponse: merge_requests, sources;
    ListIssuesResponse: issues, sources;
    GetMeResponse: users;
    ListSourcesResponse: sources;
    BrokenLane: first, green;
    ListBrokenResponse: broken;
    RunBehind: run;
    ListRunsBehindResponse: runs;
    // These name nobody.
    GetJobLogResponse: ;
    IngestWebhookResponse: ;
    GetStatsResponse: ;
    GetHeatResponse: ;
    RankStatsResponse: ;
    ListFlakyResponse: ;
    ListFailureGroupsResponse: ;
    GetDeliveryResponse: ;
}

impl People for v1::Culprit {
    fn hide_people(&mut self) {
        self.author = None;
    }
}

impl People for v1::Source {
    fn hide_people(&mut self) {
        self.owner = None;
    }
}

impl People for v1::CurrentUser {
    fn hide_people(&mut self) {
        self.person = None;
    }
}

impl People for v1::MergeRequest {
    fn hide_people(&mut self) {
        self.author = None;
        self.reviewers.clear();
        self.head.hide_people();
    }
}

impl People for v1::Issue {
    fn hide_people(&mut self) {
        self.author = None;
        self.assignees.clear();
    }
}

impl People for v1::Pipeline {
    fn hide_people(&mut self) {
        self.author = None;
    }
}

impl People for v1::Branch {
    fn hide_people(&mut self) {
        self.author = None;
        self.state.hide_people();
    }
}
