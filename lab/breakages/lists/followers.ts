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
      breaks: 'Who joins in the middle of a piece gets its beginning twice.',
      find: 'const own = position < piece.offsets[0]! ? bytes : selectFrom(piece, meant, position);',
      replace: 'const own = bytes;',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'Who is ahead of a piece gets it all the same.',
      find: 'if (position >= piece.lastOffset) continue;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks:
        'The first to follow a topic misses what was committed since others followed, and was not kept for them.',
      find: 'return Math.max(since, this.#live().after);',
      replace: 'return Math.min(since, this.#live().after);',
      tests: FOLLOWERS,
    },
    {
      file: 'channels.ts',
      breaks: 'A topic that nobody followed when it was met first is never wanted again.',
      find: 'this.#routes.add(filter, channel);\n      this.#wanted.clear();',
      replace: 'this.#routes.add(filter, channel);',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'After a hole in the news nobody is served any more.',
      find: 'for (const follower of live) this.#own(follower);',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'Who stopped reading is kept for ever, and who reads is cut off.',
      find: 'nowMs - fullSinceMs >= this.#options.stalledMs',
      replace: 'nowMs - fullSinceMs < this.#options.stalledMs',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'One more may follow than there are places.',
      find: 'if (this.#all.size >= followersMax) {',
      replace: 'if (this.#all.size > followersMax) {',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A stream whose reader is gone already takes a place for ever.',
      find: 'if (out.destroyed) return;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'followers.ts',
      breaks: 'A slow follower is live beside those who keep up, and is given everything.',
      find: 'if (follower.isFull) continue;\n        follower.channel.live.add(follower);',
      replace: 'follower.channel.live.add(follower);',
      tests: FOLLOWERS,
    },
    {
      file: 'follower.ts',
      breaks: 'What a reader does not take is held for it without a bound.',
      find: 'if (!this.#out.write(bytes)) this.#fullSinceMs ??= performance.now();',
      replace: 'this.#out.write(bytes);',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'Who is as far as the end of a piece gets that piece again.',
      find: 'lastOffset <= offset) + 1',
      replace: 'lastOffset < offset) + 1',
      tests: FOLLOWERS,
      survives: 'nothing of that piece is above the position, which selectFrom looks at too',
    },
    {
      file: 'live-window.ts',
      breaks: 'The event at a follower’s position is given again.',
      find: 'if (offset > above && meant[topicOf[i]!]) continue;',
      replace: 'if (offset >= above && meant[topicOf[i]!]) continue;',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'The window goes on saying that it has what it dropped, and a follower misses it.',
      find: 'this.#after = piece.lastOffset;',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'live-window.ts',
      breaks: 'Behind a hole the window still has the pieces before it.',
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
      breaks: 'A page that was read before a cursor was reached takes the cursor back.',
      find: 'resumeAfter ?? Math.max(after, upTo)',
      replace: 'resumeAfter ?? upTo',
      tests: FOLLOWERS,
      survives: 'a page is asked for only below the end of the log that is known',
    },
    {
      file: 'catch-up.ts',
      breaks: 'All who come back read at once, and whoever else reads waits for all of them.',
      find: 'if (this.#reads === READS_MAX)',
      replace: 'if (this.#reads === Infinity)',
      tests: FOLLOWERS,
    },
    {
      file: 'catch-up.ts',
      breaks: 'Each of those who come back together reads the same page for itself.',
      find: 'this.#pages.set(place, page);',
      replace: '',
      tests: FOLLOWERS,
    },
    {
      file: 'topic-routes.ts',
      breaks: 'A follower of "orders.*" misses what another follows by its name.',
      find: 'if (any !== null) next.push(any);',
      replace: 'else if (any !== null) next.push(any);',
      tests: ROUTES,
    },
    {
      file: 'topic-routes.ts',
      breaks: 'One who leaves takes along those who follow topics below its own.',
      find: 'if (!next.isEmpty) return;',
      replace: '',
      tests: ROUTES,
    },
  ],
};
