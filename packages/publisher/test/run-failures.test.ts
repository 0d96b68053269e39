import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFakeAggregator } from './fake-aggregator.ts';
import { assertFails, isVictim, run, runAgainst, victim } from './stress-run.ts';

test('an event that was accepted and lost fails', async (t) => {
  const report = await runAgainst(t, { keep: (event) => (isVictim(event) ? [] : [event]) });
  assertFails(report, 'stored', new RegExp(`^1 missing \\(first: ${victim.topic}/${victim.event_id}\\)$`));
});

test('an event that is stored twice fails', async (t) => {
  const report = await runAgainst(t, { keep: (event) => (isVictim(event) ? [event, event] : [event]) });
  assertFails(report, 'stored', new RegExp(`1 stored twice \\(first: ${victim.topic}/${victim.event_id}\\)`));
});

test('a payload that is returned changed fails', async (t) => {
  const report = await runAgainst(t, {
    keep: (event) => [isVictim(event) ? { ...event, payload: { ...event.payload, user_id: 'x' } } : event],
  });
  assertFails(report, 'stored', /^1 changed \(first: .*, payload\)$/);
});

test('a timestamp that is returned in a different form fails', async (t) => {
  const report = await runAgainst(t, {
    keep: (event) => [{ ...event, timestamp: event.timestamp.replace('Z', '+00:00') }],
  });
  assertFails(report, 'stored', /^400 changed \(first: .*, timestamp\)$/);
});

test('an event in the wrong topic counts as missing', async (t) => {
  assert.notEqual(victim.topic, 'orders');
  const report = await runAgainst(t, {
    keep: (event) => [isVictim(event) ? { ...event, topic: 'orders' } : event],
  });
  assertFails(report, 'stored', /^1 missing/);
});

test('a page out of order fails', async (t) => {
  const report = await runAgainst(t, { page: (events) => events.toReversed() });
  assertFails(report, 'stored', /^\d+ out of order/);
});

test('a page that leads to itself fails instead of looping for ever', async (t) => {
  const report = await runAgainst(t, { next: () => 1 });
  assertFails(report, 'stored', /page without end \(first: .*, next 1 after 1\)/);
});

test('an offset that differs from the verdict fails', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) => (isVictim(result) ? { ...result, offset: 99_999 } : result),
  });
  assertFails(report, 'stored', /^1 not at the offset of its verdict .* instead of 99999/);
});

test('verdicts that give one event two offsets fail', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) =>
      result.verdict === 'duplicate' ? { ...result, offset: result.offset + 1000 } : result,
  });
  assertFails(report, 'answers', /contradictions \(.* at offset \d+ and at \d+/);
});

test('an event that is accepted twice fails', async (t) => {
  const report = await runAgainst(t, { verdict: (result) => ({ ...result, verdict: 'accepted' }) });
  assertFails(report, 'answers', /^100 contradictions \(.* accepted twice/);
});

test('a conflict fails', async (t) => {
  const fake = await startFakeAggregator(t);
  fake.publish({ ...victim, payload: { message: 'somebody was here first' } });
  const { report } = await run(fake);
  assertFails(report, 'answers', /^\d+ conflicts$/);
  assert.ok(report.conflicts > 0);
  assert.equal(report.accepted, 399);
  assert.equal(report.duplicates, 101, 'duplicates count conflicts too');
  assertFails(report, 'stored', /^1 changed/);
});

test('a verdict about another event fails', async (t) => {
  const report = await runAgainst(t, {
    verdict: (result) => (isVictim(result) ? { ...result, event_id: 'another' } : result),
  });
  assertFails(report, 'answers', /another where .* was sent/);
});

test('counts that differ from the verdicts fail', async (t) => {
  const report = await runAgainst(t, { counts: (counts) => ({ ...counts, accepted: counts.accepted + 1 }) });
  assertFails(report, 'answers', /^25 contradictions \(an answer whose counts differ from its verdicts/);
});

test('an event without a verdict fails', async (t) => {
  const report = await runAgainst(t, { results: (results) => results.slice(1) });
  assertFails(report, 'answers', /^25 events without a verdict; .*19 verdicts for a batch of 20/);
});

test('an answer that is not a publish answer makes the run give up at once', async (t) => {
  const report = await runAgainst(t, { refuse: () => ({ status: 200, body: 'hello' }) });
  assert.equal(report.outcome, 'FAIL');
  assert.match(report.stopped ?? '', /answered 200 without a verdict per event$/);
});

test('books that do not balance fail', async (t) => {
  const report = await runAgainst(t, {
    stats: (stats) => ({ ...stats, duplicated_dropped: stats.duplicated_dropped + 1 }),
  });
  assertFails(
    report,
    'books',
    /^before the run received was 0, but unique and dropped add up to 1; after the run received was 500, .* 501/,
  );
});

test('books that lack a part of the run fail', async (t) => {
  const report = await runAgainst(t, {
    stats: ({ received, unique_processed: unique, ...rest }) => ({
      ...rest,
      received: Math.max(0, received - 3),
      unique_processed: Math.max(0, unique - 3),
    }),
  });
  assertFails(report, 'books', /^received grew by 497, though 500 were sent; unique_processed grew by 397, /);
});

test('books that count a dropped event as unique fail', async (t) => {
  const report = await runAgainst(t, {
    stats: ({ received, unique_processed: unique, duplicated_dropped: dropped }) => {
      const moved = Math.min(1, dropped);
      return { received, unique_processed: unique + moved, duplicated_dropped: dropped - moved };
    },
  });
  assertFails(report, 'books', /^unique_processed grew by 401, though 400 were accepted/);
});
