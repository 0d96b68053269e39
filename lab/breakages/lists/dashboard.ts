import type { Area } from '../breakage.ts';

const SERVED = ['api/about/dashboard.test.ts'];

/** The pages for browsers, as the service serves them. */
export const dashboard: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'api/about/dashboard.ts',
      breaks: 'Everyone who asks for / gets the page, programs that want JSON among them.',
      find: "type(['application/json', 'text/html'])",
      replace: "type(['text/html', 'application/json'])",
      tests: SERVED,
    },
    {
      file: 'api/about/dashboard.ts',
      breaks: 'Scripts within a page may run, so markup in an event could.',
      find: "script-src 'self';",
      replace: "script-src 'self' 'unsafe-inline';",
      tests: SERVED,
    },
    {
      file: 'api/about/dashboard.ts',
      breaks: 'Browsers with keys in force cannot load the page that would ask for one.',
      find: "config: { scope: 'open' }",
      replace: "config: { scope: 'any' }",
      tests: SERVED,
    },
    {
      file: 'api/about/dashboard.ts',
      breaks: 'A browser keeps a page whose files it then looks for in the wrong folder.',
      find: 'etag: `${page.etag.slice(0, -1)}-${folder.length}"`',
      replace: 'etag: page.etag',
      tests: SERVED,
    },
  ],
};

/** What is shown of numbers, and of how the service is. */
export const shown: Area = {
  sources: 'packages',
  tests: 'packages',
  breakages: [
    {
      file: 'dashboard/src/json/exact-json.ts',
      breaks: 'Large numbers are shown rounded.',
      find: "text: this.#match(NUMBER) ?? this.#fail('a value')",
      replace: "text: String(Number(this.#match(NUMBER) ?? this.#fail('a value')))",
      tests: ['dashboard/test/exact-json.test.ts'],
    },
    {
      file: 'dashboard/src/live/event-window.ts',
      breaks: 'A page that is left open takes more memory with each large event.',
      find: ' || this.#chars > this.#charsMax * SLACK',
      replace: '',
      tests: ['dashboard/test/event-window.test.ts'],
    },
    {
      file: 'dashboard/src/search/payload-match.ts',
      breaks: 'A search through payloads also finds what stands elsewhere in an event.',
      find: "[memberText(line, 'payload') ?? '', writeExact(payload)]",
      replace: '[line, writeExact(payload)]',
      tests: ['dashboard/test/payload-match.test.ts'],
    },
    {
      file: 'dashboard/src/search/payload-match.ts',
      breaks: 'A text with an escape is not found by its letters.',
      find: "if (!line.includes('\\\\') && !fold(line)",
      replace: 'if (!fold(line)',
      tests: ['dashboard/test/payload-match.test.ts'],
    },
    {
      file: 'dashboard/src/topics/policies.ts',
      breaks: 'A topic is said to obey a policy to which it is an exception.',
      find: 'narrowest === undefined || topicPatternCovers(narrowest.pattern, rule.pattern)',
      replace: 'narrowest === undefined',
      tests: ['dashboard/test/policies.test.ts'],
    },
    {
      file: 'vitals/src/course.ts',
      breaks: 'A log that was restored shows rates below zero.',
      find: 'now.accepted < last.accepted',
      replace: 'now.accepted < 0n',
      tests: ['vitals/test/course.test.ts'],
    },
  ],
};
