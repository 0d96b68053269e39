import type { Area } from '../breakage.ts';

const KINDS = ['sources/kinds.test.ts'];
const GENERIC = ['api/in/generic.test.ts'];
const PROVIDERS = ['api/in/providers.test.ts'];
const SUITE = ['store/source-store.test.ts'];

/** What others send in forms of their own. */
export const sources: Area = {
  sources: 'packages/aggregator/src',
  tests: 'packages/aggregator/test',
  breakages: [
    {
      file: 'sources/signatures.ts',
      breaks: 'A delivery is taken whoever signed it.',
      find: "  if (!isSigned) throw new Refusal('wrong_signature'",
      replace: "  if (!isSigned && keys.length === 0) throw new Refusal('wrong_signature'",
      tests: KINDS,
    },
    {
      file: 'sources/signatures.ts',
      breaks: 'Of several secrets the first alone signs.',
      find: 'for (const key of keys) {',
      replace: 'for (const key of keys.slice(0, 1)) {',
      tests: KINDS,
    },
    {
      file: 'sources/signatures.ts',
      breaks: 'A signature may be as old as it likes.',
      find: 'if (Math.abs(ageMs) <= maxAgeMs) return;',
      replace: 'if (Math.abs(ageMs) >= 0) return;',
      tests: KINDS,
    },
    {
      file: 'sources/signatures.ts',
      breaks: 'A signature may be of a time that is yet to come.',
      find: 'if (Math.abs(ageMs) <= maxAgeMs) return;',
      replace: 'if (ageMs <= maxAgeMs) return;',
      tests: KINDS,
    },
    {
      file: 'sources/kinds/stripe.ts',
      breaks: 'What Stripe changes with each attempt makes a conflict of each.',
      find: "withoutMember(json, 'pending_webhooks')",
      replace: "withoutMember(json, 'pending')",
      tests: KINDS,
    },
    {
      file: 'sources/kinds/slack.ts',
      breaks: "Slack's token is stored.",
      find: "withoutMember(content.json, 'token')",
      replace: "withoutMember(content.json, 'tokens')",
      tests: KINDS,
    },
    {
      file: 'sources/kinds/slack.ts',
      breaks: "Slack's token is stored with a body that is kept as text.",
      find: 'return textWithoutToken(sent) ?? content;',
      replace: 'return content;',
      tests: KINDS,
    },
    {
      file: 'sources/kinds/generic.ts',
      breaks: 'The key of whoever sends becomes the id of an event, for all to read.',
      find: 'else if (SECRET_HEADERS.has(place.toLowerCase())) {',
      replace: 'else if (SECRET_HEADERS.has(place)) {',
      tests: GENERIC,
    },
    {
      file: 'sources/kinds/github.ts',
      breaks: 'Another webhook that is told of the same event makes a conflict.',
      find: "headers: ['x-github-event'],",
      replace: "headers: ['x-github-event', 'x-github-hook-id'],",
      tests: KINDS,
    },
    {
      file: 'sources/one-event.ts',
      breaks: 'An event without a time gets that of its arrival, so that a repeated delivery is a conflict.',
      find: '...(made.time ?? NO_TIME),',
      replace: '...(made.time ?? { timestamp: new Date().toISOString(), timeMs: Date.now() }),',
      tests: GENERIC,
    },
    {
      file: 'sources/one-event.ts',
      breaks: 'Every body has the same digest, and all but the first are dropped.',
      find: "hash('sha256', body, 'hex')",
      replace: "hash('sha256', body.subarray(0, 0), 'hex')",
      tests: GENERIC,
    },
    {
      file: 'event/json-place.ts',
      breaks: 'A member is found within another one that comes before it.',
      find: 'if (member.name === name) return member.valueStart;',
      replace: 'if (json.indexOf(`"${name}"`) >= 0) return json.indexOf(`"${name}"`) + name.length + 3;',
      tests: ['event/json-place.test.ts'],
    },
    {
      file: 'api/in/deliveries.ts',
      breaks: 'Whoever has no key may send to a source without secrets.',
      find: "principal = admitted(keys, 'publish', request, response);",
      replace: 'principal = ANYONE;',
      tests: GENERIC,
    },
    {
      file: 'api/in/deliveries.ts',
      breaks: 'The answer tells names that exist from those that do not.',
      find: "return { refusal: new Refusal('unsigned', why) };",
      replace:
        "if (source === undefined) throw noSuchSource(name);\n    return { refusal: new Refusal('unsigned', why) };",
      tests: GENERIC,
    },
    {
      file: 'api/in/answers.ts',
      breaks: 'Secrets are told.',
      find: 'secrets: secrets.length,',
      replace: 'secrets: secrets as unknown as number,',
      tests: GENERIC,
    },
    {
      file: 'sources/webhook.ts',
      breaks: 'A question is answered to whoever asks it.',
      find: '      scheme.verify(delivery, source);\n',
      replace: '      if (scheme.questionIn === undefined) scheme.verify(delivery, source);\n',
      tests: PROVIDERS,
    },
    {
      file: 'store/sqlite/source-rows.ts',
      breaks: 'On SQLite a changed definition is not stored.',
      find: "if (outcome === 'created' || outcome === 'changed') writeSource",
      replace: "if (outcome === 'created') writeSource",
      tests: SUITE,
    },
    {
      file: 'store/postgres/sources.ts',
      breaks:
        'Two who put a source at the same time have both created it, and may pass the bound on sources.',
      find: '  await client.query(LOCK);\n',
      replace: '',
      tests: SUITE,
    },
    {
      file: 'store/source-store.ts',
      breaks: 'There may be any number of sources.',
      find: "count >= LIMITS.sourcesMax ? 'full' : 'created'",
      replace: "'created'",
      tests: SUITE,
    },
    {
      file: 'store/postgres/sources.ts',
      breaks: 'On PostgreSQL a changed definition is not stored.',
      find: 'DO UPDATE SET definition = excluded.definition',
      replace: 'DO UPDATE SET name = excluded.name',
      tests: SUITE,
    },
    {
      file: 'sources/one-event.ts',
      breaks: 'A definition that names what every object has makes the server fail.',
      find: 'if (!Object.hasOwn(headers, key)) return undefined;',
      replace: '',
      tests: GENERIC,
    },
    {
      file: 'api/in/deliveries.ts',
      breaks: 'Any page that somebody has open may send to a source without secrets.',
      find: "if ('source' in sender && sender.source.secrets.length === 0) ",
      replace: "if (kind?.bodies === 'events') ",
      tests: GENERIC,
    },
    {
      file: 'api/audit/refusals.ts',
      breaks: 'Whoever has no key fills the audit trail with topics.',
      find: 'const isStranger = keys !== undefined && key === null;',
      replace: 'const isStranger = false;',
      tests: ['api/audit/answers.test.ts'],
    },
  ],
};
