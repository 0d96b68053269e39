import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventResult, Verdict } from '@chronicleweaver/protocol';
import { Account, type Publish, type Sent } from '../torture/account.ts';
import { BrokenPromise } from '../torture/broken-promise.ts';
import { Events } from '../torture/events.ts';
import { newReport } from '../torture/report.ts';

/** What publishers and readers of one service were told. The events are on topics of which everything is kept, or on one named. */
class Told {
  readonly events = new Events(1);
  readonly account = new Account(this.events, newReport(1).answers);

  /** The number of a new event. */
  event(topic = 'gateway'): number {
    for (;;) {
      const k = this.account.newNumber();
      if (this.events.topic(k) === topic) return k;
    }
  }

  send(k: number | readonly number[], as: Sent['as'] = 'new', isInvalid = false): Publish {
    const events = [k].flat().map((one) => ({ k: one, as }));
    const publish = { events, isInvalid, attempts: 0, refused: 0, answered: 0 };
    this.account.attempt(publish);
    return publish;
  }

  /** An answer to it, like `accepted 3`, one for each event. */
  answer(publish: Publish, told: string, sentAfter = 0, about = publish.events.map(({ k }) => k)): this {
    const results = told.split(', ').map((one, i): EventResult => {
      const [verdict, offset] = one.split(' ') as [Verdict, string];
      const k = about[i]!;
      return {
        event_id: this.events.id(k),
        topic: this.events.topic(k),
        verdict,
        offset: Number(offset),
      };
    });
    const of = (verdict: Verdict): number => results.filter((result) => result.verdict === verdict).length;
    const counts = {
      message: '',
      events_count: results.length,
      accepted: of('accepted'),
      duplicates: of('duplicate') + of('conflict'),
      conflicts: of('conflict'),
    };
    this.account.acknowledged(publish, { status: 'success', ...counts, results }, sentAfter);
    return this;
  }

  publish(k: number, told: string, as: Sent['as'] = 'new'): this {
    return this.answer(this.send(k, as), told);
  }

  line(k: number, offset: number): string {
    return `${this.events.text(k).slice(0, -1)},"offset":${offset},"received_at":"2025-10-28T10:00:00.000Z"}`;
  }

  read(k: number, offset: number): this {
    this.account.read(this.line(k, offset));
    return this;
  }

  erased(k: number, offset: number): this {
    const doubt = { k, topic: this.events.topic(k), offset, isForgetting: false };
    this.account.lettingGo.erasing(doubt);
    this.account.lettingGo.erased(doubt, true);
    return this;
  }

  settle(): this {
    this.account.settle();
    return this;
  }
}

test('what is true of a service that keeps its promises contradicts nothing', () => {
  const told = new Told();
  const [a, b, c, lost, erased] = [
    told.event(),
    told.event(),
    told.event(),
    told.event(),
    told.event('auth'),
  ];
  told.publish(a, 'accepted 1').publish(a, 'duplicate 1', 'again').publish(a, 'conflict 1', 'conflict');
  told.answer(told.send([b, c]), 'accepted 2, accepted 3', 1);
  told.account.noAnswer(told.send(lost));
  told.publish(erased, 'accepted 4').erased(erased, 4);
  told.read(a, 1).read(b, 2).read(c, 3).settle();
  const retried = told.account.takeUnsettled()!;
  told.account.attempt(retried);
  told.answer(retried, 'accepted 5').read(lost, 5).settle();
  // An erased event counts as stored though nobody read it.
  assert.equal(told.account.stored, 5);
});

/** By what is wrong: what the account says of it, and how it comes about, with an event of which nothing is let go. */
const WRONG: Readonly<Record<string, readonly [RegExp, (told: Told, a: number) => unknown]>> = {
  'an acknowledged event that is not in the log [P-1]': [
    /every acknowledged or shown event in the log\n\s+found: 1 of 1 are lost/,
    (told, a) => told.publish(a, 'accepted 1').settle(),
  ],
  'an event that a follower was shown and that is not in the log [P-1]': [
    /found: 1 of 1 are lost/,
    (told, a) => {
      told.account.shown(told.line(a, 1));
      told.settle();
    },
  ],
  'an event stored again at another offset [P-2]': [
    /offset 1 for event .* \(accepted\), as told or read before\n\s+found: 2/,
    (told, a) => told.publish(a, 'accepted 1').publish(a, 'accepted 2', 'again'),
  ],
  'an event accepted again at the same offset [P-2]': [
    /verdict duplicate\n/,
    (told, a) => told.publish(a, 'accepted 1').publish(a, 'accepted 1', 'again'),
  ],
  'a duplicate that was never sent before [P-2]': [
    /verdict accepted\n/,
    (told, a) => told.publish(a, 'duplicate 1'),
  ],
  'a conflict that is told as a duplicate [P-2]': [
    /verdict conflict\n/,
    (told, a) => told.publish(a, 'accepted 1').publish(a, 'duplicate 1', 'conflict'),
  ],
  'a new event below what was acknowledged before it was sent [P-4]': [
    /an offset above 7 for/,
    (told, a) => told.answer(told.send(a), 'accepted 7', 7),
  ],
  'an event that moved after it was read [P-4]': [
    /at offset 1, once\n\s+found: it is at 2/,
    (told, a) => told.publish(a, 'accepted 1').read(a, 1).read(a, 2),
  ],
  'an event with another text than was sent [EVT-6]': [
    /expected: \{"event_id"/,
    (told, a) => told.account.read(told.line(a, 1).replace('"source":"', '"source":"not-')),
  ],
  'an event that nobody sent': [/events that were sent/, (told, a) => told.account.read(told.line(a + 1, 1))],
  'a publish of which a part is stored [P-3]': [
    /all or nothing of a publish\n\s+found: 1 of its 2/,
    (told, a) => {
      const b = told.event();
      told.account.noAnswer(told.send([a, b]));
      told.read(a, 1).settle();
    },
  ],
  'a publish of which a part is new [P-3]': [
    /all or none of the 2 new events/,
    (told, a) => {
      const publish = told.send([a, told.event()]);
      told.account.attempt(publish);
      told.answer(publish, 'accepted 1, duplicate 2');
    },
  ],
  'a refused publish that is stored [P-7]': [
    /nothing of a publish that was refused/,
    (told, a) => {
      told.account.refused(told.send(a));
      told.read(a, 1).settle();
    },
  ],
  'an invalid publish that is answered as stored [P-6]': [
    /422 for a publish with an invalid event/,
    (told, a) => told.answer(told.send(a, 'new', true), 'accepted 1'),
  ],
  'an invalid publish that is in the log [P-6]': [
    /nothing of a publish that is not valid/,
    (told, a) => {
      told.send(a, 'new', true);
      told.read(a, 1);
    },
  ],
  'an invalid publish that has expired [P-6]': [
    /nothing of a publish that is not valid/,
    (told) => {
      const a = told.event('auth');
      told.send(a, 'new', true);
      told.account.passed(a, 1);
    },
  ],
  'an answer about another event than was sent': [
    /the number in the id of a result \d+\n/,
    (told, a) => told.answer(told.send(a), 'accepted 1', 0, [told.event()]),
  ],
  'a valid publish that is called invalid': [
    /200 for events that are valid/,
    (told, a) => told.account.toldInvalid(told.send(a)),
  ],
  'an erased event that is read [RET-7]': [
    /nothing of event \d+ of auth, which was let go of/,
    (told) => {
      const a = told.event('auth');
      told.publish(a, 'accepted 1').erased(a, 1).read(a, 1);
    },
  ],
  'an event that expired though nobody let go of it [RET-5]': [
    /at offset 1 kept\n\s+found: it has expired/,
    (told, a) => told.account.passed(a, 1),
  ],
  'an expired event that was stored elsewhere [RET-3]': [
    /expired at offset 1\n\s+found: 2/,
    (told) => {
      const a = told.event('auth');
      told.publish(a, 'accepted 1').erased(a, 1).account.passed(a, 2);
    },
  ],
  'a truncated topic that has what was truncated [RET-15]': [
    /0 are missing.*1 should be gone, such as 1/,
    (told) => {
      const [a, b] = [told.event('search'), told.event('search')];
      told.publish(a, 'accepted 1').publish(b, 'accepted 2');
      told.account.lettingGo.truncated('search', 2);
      told.account.lettingGo.compareTruncated('search', [1, 2]);
    },
  ],
  'a truncated topic that lacks what was not truncated [RET-15]': [
    /1 are missing, such as 2;/,
    (told) => {
      const [a, b] = [told.event('search'), told.event('search')];
      told.publish(a, 'accepted 1').publish(b, 'accepted 2');
      told.account.lettingGo.compareTruncated('search', [1]);
    },
  ],
  'a policy with a bound that nobody set [RET-1]': [
    /a bound of 500 events\n\s+found: 7/,
    (told) => told.account.lettingGo.bounded(7),
  ],
  'a policy that lets go of more than its bound [RET-5]': [
    /1 to 1 events of inventory\n\s+found: 0/,
    (told) => {
      told.publish(told.event('inventory'), 'accepted 1');
      told.account.lettingGo.compareBounded(['inventory'], []);
    },
  ],
};

for (const [what, [found, tell]] of Object.entries(WRONG))
  test(`the account of a torture notices ${what}`, () => {
    const told = new Told();
    assert.throws(
      () => tell(told, told.event()),
      (error) => error instanceof BrokenPromise && found.test(error.message),
    );
  });
