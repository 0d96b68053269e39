import type { Area } from '../breakage.ts';

const UNDER_WAY = ['answers-under-way.test.ts'];
const EXPIRED = ['expired.test.ts'];

/** What readers see of events that are not kept. */
export const expired: Area = {
  sources: 'packages/aggregator/src/api/read',
  tests: 'packages/aggregator/test/api/read',
  breakages: [
    {
      file: 'page.ts',
      breaks: 'What has expired behind the last event of a page is counted twice.',
      find: 'after === null || expired > 0 ? after : (lastOffset ?? after)',
      replace: 'after === null ? after : (lastOffset ?? after)',
      tests: EXPIRED,
    },
    {
      file: 'page.ts',
      breaks: 'What has expired behind the last page of all is not counted.',
      find: '    after = page.resumeAfter;\n    expired += page.expired;\n  }\n  const',
      replace: '    after = page.resumeAfter;\n  }\n  const',
      tests: EXPIRED,
    },
    {
      file: 'page.ts',
      breaks: 'A page that must refuse says that it is the last one.',
      find: ' || (refuses && page.expired > 0)',
      replace: '',
      tests: EXPIRED,
    },
    {
      file: 'page.ts',
      breaks: 'A page that must refuse passes over what has expired among its events.',
      find: '      if (count > 0) break;\n',
      replace: '',
      tests: EXPIRED,
    },
    {
      file: 'page.ts',
      breaks: 'A reader without a cursor is refused.',
      find: 'if (query.after !== START[query.order]) throw',
      replace: 'throw',
      tests: EXPIRED,
    },
    {
      file: 'cursor-expired.ts',
      breaks: 'Whoever goes on after a refusal is refused again, by what the first look did not reach.',
      find: '    next = page.resumeAfter;\n  }',
      replace: '    return { expired, next: page.resumeAfter };\n  }',
      tests: EXPIRED,
    },
    {
      file: 'cursor-expired.ts',
      breaks:
        'Whoever goes on after the refusal of a whole answer comes to the first event that is gone, not behind the last.',
      find: "(order === 'asc') === expired > 0",
      replace: "(order !== 'asc') === expired > 0",
      tests: EXPIRED,
    },
    {
      file: 'whole-answer.ts',
      breaks: 'A policy takes events that an answer has announced.',
      find: 'else holding.moved(neededFrom({ ...query, after: page.resumeAfter! }));',
      replace: 'else holding.end();',
      tests: ['expired-under-way.test.ts'],
    },
    {
      file: 'answers-under-way.ts',
      breaks: 'A reader that stalls holds up retention for as long as a slow one may.',
      find: ' && nowMs - movedMs < this.#stalledMsMax',
      replace: '',
      tests: UNDER_WAY,
    },
    {
      file: 'answers-under-way.ts',
      breaks: 'A reader that takes a byte a minute holds up retention for ever.',
      find: 'nowMs - startMs < this.#heldMsMax && ',
      replace: '',
      tests: UNDER_WAY,
    },
    {
      file: 'answers-under-way.ts',
      breaks: 'An answer counts events that expire before it reads them.',
      find: '    this.#steps.add(taken);',
      replace: '',
      tests: UNDER_WAY,
    },
    {
      file: 'whole-answer.ts',
      breaks: 'A whole answer in descending order does not hold the events that it reads last.',
      find: "order === 'asc' ? after + 1 : 1",
      replace: 'after + 1',
      tests: UNDER_WAY,
    },
    {
      file: 'whole-answer.ts',
      breaks: 'An answer that has read all its events holds up retention until its reader has taken them.',
      find: 'if (asked === null) holding.end();\n        else ',
      replace: 'if (asked !== null) ',
      tests: UNDER_WAY,
    },
  ],
};
