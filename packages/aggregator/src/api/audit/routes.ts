import { firstMsFrom, hasWildcard, parseTimestamp } from '@chronicleweaver/protocol';
import type { Static } from 'typebox';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { AuditQuery, AuditStore } from '../../store/audit-store.ts';
import type { Api } from '../api.ts';
import { ProblemError, invalidFields } from '../request/problems.ts';
import { topicFilterIn } from '../request/topic-patterns.ts';
import { problems } from '../schemas.ts';
import { entryJson, summaryJson } from './answers.ts';
import { auditAnswer, auditQuery, summaryAnswer, summaryQuery } from './schemas.ts';

const TAGS = ['audit'];

/** A summary counts no more records, and tells no more periods. */
const RECORDS_MAX = 1_000_000;
const PERIODS_MAX = 1000;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of each kind of period its length, and how far back a summary goes without `from`. */
const PERIODS_MS = { hour: [HOUR_MS, DAY_MS], day: [DAY_MS, 30 * DAY_MS] } as const;

/** What became of events, and who did what. */
export async function auditRoutes(
  api: Api,
  { audit, trail }: { readonly audit: AuditTrail; readonly trail: AuditStore },
): Promise<void> {
  const requireTrail = (): void => {
    if (audit.isOn) return;
    throw new ProblemError('audit_off', 'this service writes no audit trail: start it with AUDIT=true');
  };
  pageRoute(api, trail, requireTrail);
  summaryRoute(api, trail, requireTrail);
}

function pageRoute(api: Api, trail: AuditStore, requireTrail: () => void): void {
  api.get(
    '/audit',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'The audit trail',
        description:
          'What became of events, which publishes were refused, what was erased, and which keys, sources and policies were changed; ' +
          'the newest first. ' +
          'The service must have been started with `AUDIT=true`.',
        tags: TAGS,
        querystring: auditQuery,
        response: { 200: auditAnswer, ...problems(404, 422, 500, 503) },
      },
    },
    async (request) => {
      requireTrail();
      const { action, topic, before = null, limit = 100 } = request.query;
      const { entries, next } = await trail.page({
        actions: action && new Set(action),
        topics: topic === undefined ? {} : topicFilterIn(request, topic),
        event: eventOf(request.query),
        ...rangeOf(request.query),
        before,
        limit,
      });
      return { count: entries.length, entries: entries.map(entryJson), next };
    },
  );
}

function summaryRoute(api: Api, trail: AuditStore, requireTrail: () => void): void {
  api.get(
    '/audit/summary',
    {
      config: { scope: 'admin' },
      schema: {
        summary: 'How much of what is in the audit trail',
        tags: TAGS,
        querystring: summaryQuery,
        response: { 200: summaryAnswer, ...problems(404, 422, 500, 503) },
      },
    },
    async ({ query }) => {
      requireTrail();
      const { by } = query;
      let { fromMs, toMs } = rangeOf(query);
      let periodMs: number | null = null;
      if (by !== undefined) {
        const [lengthMs, backMs] = PERIODS_MS[by];
        periodMs = lengthMs;
        const endMs = Math.min(toMs, Date.now());
        if (query.from === undefined) fromMs = Math.floor((endMs - backMs) / lengthMs) * lengthMs;
        const periods = Math.ceil((endMs - fromMs) / lengthMs);
        if (periods > PERIODS_MAX)
          throw tooMuch(query.from, `${periods} periods`, `${PERIODS_MAX}, or take longer ones`);
      }
      const summary = await trail.summary({ fromMs, toMs, periodMs, recordsMax: RECORDS_MAX });
      if (summary.kind === 'too_many')
        throw tooMuch(query.from, `more than ${RECORDS_MAX} records`, `so many`);
      return summaryJson(summary.counts, { fromMs, toMs, isByPeriod: by !== undefined });
    },
  );
}

function rangeOf({ from, to }: Pick<Static<typeof auditQuery>, 'from' | 'to'>) {
  // The schema has checked them. Entries have whole milliseconds.
  return {
    fromMs: from === undefined ? 0 : firstMsFrom(parseTimestamp(from)!),
    toMs: to === undefined ? Number.MAX_SAFE_INTEGER : firstMsFrom(parseTimestamp(to)!),
  };
}

function eventOf({ topic, event_id: eventId }: Static<typeof auditQuery>): AuditQuery['event'] {
  if (eventId === undefined) return undefined;
  const [only, ...others] = topic ?? [];
  if (only !== undefined && others.length === 0 && !hasWildcard(only)) return { topic: only, eventId };
  const message = 'names an event together with its topic: send it with one topic, without * and >';
  throw invalidFields([{ index: null, field: 'event_id', message }]);
}

function tooMuch(from: string | undefined, found: string, most: string): ProblemError {
  const message = `the range has ${found}: narrow it with from and to until it has no more than ${most}`;
  return invalidFields([{ index: null, field: from === undefined ? 'to' : 'from', message }]);
}
