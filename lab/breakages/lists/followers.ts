import type { Area } from '../breakage.ts';

const FOLLOWERS = ['followers.test.ts', 'followers-property.test.ts'];
const ROUTES = ['topic-routes.test.ts'];

/** Live streams. */
export const followers: Area = {
  sources: 'packages/aggregator/src/followers',
  tests: 'packages/aggregator/test/followers',
  breakages: [
    {
      file: 'followers.ts',
      breaks: 'A follower that joins in the middle of a piece gets its beginning twice.',
      find: 'const own = position < piece.offsets[0]! ? bytes : selectFrom(piece, meant, position);',
      replace: 'const own = bytes;',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A follower that is ahead of a piece still gets it.',
      find: 'if (position >= piece.lastOffset) continue;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks:
        'The first follower of a topic misses events that the window did not keep for earlier followers of other topics.',
      find: 'return Math.max(since, this.#live().after);',
      replace: 'return Math.min(since, this.#live().after);',
      tests: FOLLOWERS,
    },
    {
      file: 'channels.ts',
      breaks: 'A topic that nobody followed when it first appeared is ignored for ever.',
      find: 'this.#routes.add(filter, channel);\n      this.#wanted.clear();',
      replace: 'this.#routes.add(filter, channel);',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'After a hole in the news nobody is served.',
      find: 'for (const follower of live) this.#own(follower);',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A follower that stopped reading is kept for ever, and one that reads is cut off.',
      find: 'nowMs - fullSinceMs >= this.#options.stalledMs',
      replace: 'nowMs - fullSinceMs < this.#options.stalledMs',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'One follower more than allowed is accepted.',
      find: 'if (this.#all.size >= followersMax) {',
      replace: 'if (this.#all.size > followersMax) {',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A stream whose reader has already left occupies a place for ever.',
      find: 'if (out.destroyed) return;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A slow follower counts as live, and everything is pushed to it.',
      find: 'if (follower.isFull) continue;\n        follower.channel.live.add(follower);',
      replace: 'follower.channel.live.add(follower);',
      tests: FOLLOWERS,
    },
    {
      file: 'follower.ts',
      breaks: 'Data that a reader does not take is buffered without bound.',
      find: 'if (!this.#out.write(bytes)) this.#fullSinceMs ??= performance.now();',
      replace: 'this.#out.write(bytes);',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'A follower at the end of a piece gets that piece again.',
      find: 'lastOffset <= offset) + 1',
      replace: 'lastOffset < offset) + 1',
      tests: FOLLOWERS,
      survives: 'no event of that piece is above the position, which selectFrom checks too',
    },
    {
      file: 'live-window.ts',
      breaks: 'A follower gets the event at its position again.',
      find: 'if (offset > above && meant[topicOf[i]!]) continue;',
      replace: 'if (offset >= above && meant[topicOf[i]!]) continue;',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'The window claims to hold events that it has dropped, and a follower misses them.',
      find: 'this.#after = piece.lastOffset;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'After a hole the window still has the pieces from before it.',
      find: `this.#pieces = [];
    this.#bytes = 0;
    this.#after = offset;`,
      replace: 'this.#after = offset;',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'The window is not bounded.',
      find: 'while (this.#bytes > this.#bytesMax) this.#dropOldest();',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'catch-up.ts',
      breaks: 'A page read before a cursor moved on moves it back.',
      find: 'resumeAfter ?? Math.max(after, upTo)',
      replace: 'resumeAfter ?? upTo',
      tests: FOLLOWERS,
      survives: 'a page is only requested below the known end of the log',
    },
    {
      file: 'catch-up.ts',
      breaks: 'All returning followers read at once, and every other reader waits for them.',
      find: 'if (this.#reads === READS_MAX)',
      replace: 'if (this.#reads === Infinity)',
      tests: FOLLOWERS,
    },
    {
      file: 'catch-up.ts',
      breaks: 'Followers that return together each read the same page from the store.',
      find: 'this.#pages.set(place, page);',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'topic-routes.ts',
      breaks: 'A follower of "orders.*" misses a topic that another follows by name.',
      find: 'if (any !== null) next.push(any);',
      replace: 'else if (any !== null) next.push(any);',
      tests: ROUTES,
    },
    {
      file: 'topic-routes.ts',
      breaks: 'When a follower leaves, those of topics below its own are removed too.',
      find: 'if (!next.isEmpty) return;',
      replace: '',
      tests: ROUTES,
    },
  ],
};
