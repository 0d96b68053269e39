import { membersIn, textAt } from '../../event/json-place.ts';
import { type Content, contentOf, headerIn, timeIn } from '../one-event.ts';
import { requireSigned, signatureBytes } from '../signatures.ts';
import { type Delivery, Refusal } from '../source.ts';
import { signingHeader, webhook } from '../webhook.ts';

/**
 * GitHub (https://docs.github.com/en/webhooks). A redelivery has the same GUID, and so have the deliveries of one event to several
 * webhooks; what is different about those, the number of the webhook, is no part of an event.
 */
export const github = webhook({
  maxAgeMs: null,
  verify: (delivery, { secrets }) => {
    const text = signingHeader(delivery, 'x-hub-signature-256');
    const hex = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
    const signature = signatureBytes(hex, 'hex', 'sha256');
    if (signature === undefined)
      throw new Refusal('unsigned', 'the header x-hub-signature-256 has no SHA-256');
    requireSigned({ keys: secrets, algorithm: 'sha256', content: [delivery.body], signatures: [signature] });
  },
  contentOf: githubContent,
  made: ({ headers }, content) => ({
    id: headerIn(headers, 'x-github-delivery'),
    idPlace: 'the header X-GitHub-Delivery',
    headers: ['x-github-event'],
    type: headerIn(headers, 'x-github-event'),
    time: timeOf(content),
  }),
});

const PREFIX = 'sha256=';

/** A webhook is set to send JSON, or a form with the JSON in its field `payload`. */
function githubContent({ body, headers }: Delivery): Content {
  const type = headers['content-type'] ?? '';
  const payload = FORM.test(type) ? new URLSearchParams(body.toString()).get('payload') : null;
  return payload === null ? contentOf(body, type) : contentOf(Buffer.from(payload), 'application/json');
}

const FORM = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;

/** A body is long, and most of the places are not in it: it is read once for all of them. */
function timeOf({ json = '' }: Content): ReturnType<typeof timeIn> {
  const members = membersIn(json);
  for (const [name, ...path] of TIMES) {
    const member = members.get(name);
    const time = member === undefined ? undefined : timeIn(textAt(member, path));
    if (time !== undefined) return time;
  }
  return undefined;
}

/** No body says when its event was, but what it is about says when it changed last. The narrowest comes first. */
const TIMES: readonly (readonly [string, ...string[]])[] = [
  ['head_commit', 'timestamp'],
  ['workflow_job', 'completed_at'],
  ['workflow_job', 'started_at'],
  ['workflow_run', 'updated_at'],
  ['check_run', 'completed_at'],
  ['check_run', 'started_at'],
  ['check_suite', 'updated_at'],
  ['deployment_status', 'updated_at'],
  ['deployment', 'updated_at'],
  ['review', 'submitted_at'],
  ['comment', 'updated_at'],
  ['release', 'published_at'],
  ['release', 'created_at'],
  ['alert', 'updated_at'],
  ['discussion', 'updated_at'],
  ['issue', 'updated_at'],
  ['pull_request', 'updated_at'],
  ['updated_at'],
  ['repository', 'updated_at'],
  ['hook', 'updated_at'],
];
