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
    ListProjectsResponse: rows;
    GetProjectResponse: row;
    ListPipelinesResponse: pipelines;
    GetPipelineResponse: pipeline;
    ListBranchesResponse: branches;
    // They name nobody.
    GetJobLogResponse: ;
    ListSourcesResponse: ;
    IngestWebhookResponse: ;
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
