import type { IncomingMessage } from 'node:http';
import { LIMITS, type ProblemCode } from '@chronicleweaver/protocol';
import type { KeyRing } from '../../access/key-ring.ts';
import type { AuditTrail } from '../../audit/audit-trail.ts';
import type { Api } from '../api.ts';
import { keyIn } from '../request/access.ts';
import type { AnswerListener } from '../request/answers.ts';

/**
 * The addresses of publishes: those of the routes that take POST from whoever may publish, or from a source. Some requests are
 * refused before a route is found, so these are told by their addresses.
 */
export class PublishAddresses {
  /** If the topic is a part of the address, it is the group `topic`. */
  readonly #forms: RegExp[] = [];

  /** Call it before any route is registered. */
  watch(api: Api): void {
    api.addHook('onRoute', ({ url, method, config }) => {
      const isPublish = config?.scope === 'publish' || config?.scope === 'sender';
      if (isPublish && [method].flat().includes('POST')) this.#forms.push(formOf(url));
    });
  }

  /** Undefined if the request is no publish; with the topic in its address, if there is one. */
  find({ method, url = '' }: IncomingMessage): { readonly topic: string | undefined } | undefined {
    if (method !== 'POST') return undefined;
    for (const form of this.#forms) {
      const match = form.exec(url);
      if (match === null) continue;
      const { topic } = match.groups ?? {};
      return { topic: topicOf(topic) };
    }
    return undefined;
  }
}

/** @param url of a route, with parameters such as `:topic` */
function formOf(url: string): RegExp {
  return new RegExp(`^${url.replace(/:(\w+)/g, '(?<$1>[^/?]+)')}(?:\\?|$)`);
}

/** Tells the trail, too, of publishes that are refused. */
export function notingRefusals(
  answers: AnswerListener,
  audit: AuditTrail,
  keys: KeyRing | undefined,
  addresses: PublishAddresses,
): AnswerListener {
  if (!audit.isOn) return answers;
  const note = (code: ProblemCode, count: number, request: IncomingMessage, topic?: string): void => {
    const publish = addresses.find(request);
    if (publish === undefined) return;
    const key = keys === undefined ? null : (keyIn(keys, request, true)?.name ?? null);
    // Whoever has no key must not write into the trail, where each topic has an entry of its own.
    const isStranger = keys !== undefined && key === null;
    audit.refused({ code, key, count, topic: isStranger ? undefined : (topic ?? publish.topic) });
  };
  return {
    published: (status, ms) => answers.published(status, ms),
    refused: (code, about) => {
      answers.refused(code, about);
      if (about !== undefined) note(code, 1, about.request, about.topic);
    },
    recordsRefused: (code, count, request) => {
      answers.recordsRefused(code, count, request);
      note(code, count, request);
    },
  };
}

/** Undefined if the part of the address is no topic. */
function topicOf(part: string | undefined): string | undefined {
  if (part === undefined) return undefined;
  try {
    const topic = decodeURIComponent(part);
    return Array.from(topic).length <= LIMITS.topicCharsMax ? topic : undefined;
  } catch {
    return undefined;
  }
}
