import type { Area } from '../breakage.ts';

const PAGE = ['api/about/metrics.test.ts'];
const FORMAT = ['metrics/exposition.test.ts'];
const PACED = ['metrics/paced.test.ts'];

export const metrics: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'metrics/exposition.ts',
      breaks: 'A bucket does not contain what the smaller ones do.',
      find: 'count += counts[i]!;',
      replace: 'count = counts[i]!;',
      tests: FORMAT,
    },
    {
      file: 'metrics/exposition.ts',
      breaks: 'OpenMetrics is given to those who refuse it.',
      find: 'openMetrics > 0 && openMetrics >= text',
      replace: 'openMetrics >= text',
      tests: FORMAT,
    },
    {
      file: 'metrics/exposition.ts',
      breaks: 'A quotation mark in a label ends it.',
      find: `.replaceAll('"', '\\\\"')`,
      replace: '',
      tests: FORMAT,
    },
    {
      file: 'metrics/instruments.ts',
      breaks: 'A value that lies on a bound is counted above it.',
      find: 'value > this.bounds[i]!',
      replace: 'value >= this.bounds[i]!',
      tests: FORMAT,
    },
    {
      file: 'metrics/paced.ts',
      breaks: 'The store is asked at every scrape, however long that takes.',
      find: 'this.#restUntilMs = endMs + REST_SHARE * (endMs - startMs);',
      replace: '',
      tests: PACED,
    },
    {
      file: 'metrics/commits.ts',
      breaks: 'A conflict counts as a duplicate, too.',
      find: 'duplicates - conflicts',
      replace: 'duplicates',
      tests: PAGE,
    },
    {
      file: 'api/about/metrics.ts',
      breaks: 'A key with topics is told how much happens on all others.',
      find: 'principal.topicPatterns !== undefined',
      replace: 'false',
      tests: PAGE,
    },
    {
      file: 'api/short-publish.ts',
      breaks: 'Publishes that are refused on the short way are not counted.',
      find: 'answers.published(problem.status, performance.now() - startMs);',
      replace: '',
      tests: PAGE,
    },
    {
      file: 'api/request/connections.ts',
      breaks: 'What is no HTTP is refused without being counted.',
      find: '  answers.refused(error.code);\n',
      replace: '',
      tests: PAGE,
    },
    {
      file: 'metrics/groups.ts',
      breaks: 'The age is that of the first event of the log.',
      find: 'let after: number | null = cursor;',
      replace: 'let after: number | null = cursor * 0;',
      tests: PAGE,
    },
    {
      file: 'followers/followers.ts',
      breaks: 'How far the quickest stream is behind is told, not the slowest.',
      find: 'behind = Math.max(behind, this.#commits.lastOffset - position)',
      replace: 'behind = this.#commits.lastOffset - position',
      tests: ['followers/followers.test.ts'],
    },
  ],
};
