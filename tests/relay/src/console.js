// What a Relay client of the console asks: pages that go on, nodes that are fetched again, masked fragments.
import { graphql } from 'relay-runtime'

export const row = graphql`
  fragment console_row on Pipeline {
    id
    pipelineId
    status
    message @catch
    scope {
      year
      module {
        key
      }
      unit {
        institutionalId
      }
    }
    triggeredBy {
      displayName
    }
    progress {
      phase
      fraction
    }
  }
`

export const page = graphql`
  fragment console_page on Query
  @refetchable(queryName: "consolePageQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 25 }, after: { type: "String" }, filter: { type: "PipelineFilter" }) {
    pipelines(first: $first, after: $after, filter: $filter) @connection(key: "console_pipelines") {
      edges {
        node {
          id
          ...console_row
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`

export const query = graphql`
  query consoleQuery($filter: PipelineFilter) {
    ...console_page @arguments(filter: $filter)
  }
`

export const jobs = graphql`
  fragment console_jobs on Pipeline
  @refetchable(queryName: "consoleJobsQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 20 }, after: { type: "String" }) {
    jobs(first: $first, after: $after) @connection(key: "console_jobs") {
      edges {
        node {
          id
          jobId
          kind
          state
          result
          errorDetail
        }
      }
    }
  }
`

export const anything = graphql`
  query consoleAnythingQuery($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Pipeline {
        status
        kind
        message
      }
      ... on Job {
        state
        kind
        message
      }
      ... on YearConfiguration {
        year
        config
      }
      ... on Unit {
        institutionalId
      }
    }
  }
`

export const live = graphql`
  subscription consoleLiveSubscription($by: PipelineBy!) {
    pipeline(by: $by) {
      token
      ... on PipelineChanged {
        pipeline {
          id
          ...console_row
        }
      }
    }
  }
`
