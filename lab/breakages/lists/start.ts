import type { Area } from '../breakage.ts';

/** What runs when the service starts, and when it is loaded. */
export const start: Area = {
  sources: 'packages/aggregator',
  tests: 'tests',
  breakages: [
    {
      file: 'src/bundle.js',
      breaks: 'A start runs the bundle of sources that have changed since.',
      find: 'stampOf(join(FOLDER, file)) === seen',
      replace: 'stampOf(join(FOLDER, file)) !== seen.slice(1)',
      tests: ['bundle.test.ts'],
    },
    {
      file: 'build.ts',
      breaks: 'The bundle looks for the files beside it where its sources are not.',
      find: 'relative(DIST, path)',
      replace: 'relative(HERE, path)',
      tests: ['bundle.test.ts'],
    },
  ],
};
