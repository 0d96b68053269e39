import type { TopicFilter } from '../store/event-store.ts';
import { compileTopicFilter } from '../store/topic-filter.ts';
import type { Channel } from './follower.ts';
import { TopicRoutes } from './topic-routes.ts';

/** Topics of which it is remembered whether anybody follows them. */
const WANTED_TOPICS_MAX = 10_000;

/** The channels that somebody follows, one for each filter. In: who comes and goes. Out: which channels a topic is meant for. */
export class Channels {
  readonly #byKey = new Map<string, Channel>();
  readonly #routes = new TopicRoutes<Channel>();
  /** Of some topics, whether anybody follows them now; forgotten when a channel comes or goes. */
  readonly #wanted = new Map<string, boolean>();

  all(): Iterable<Channel> {
    return this.#byKey.values();
  }

  /** One follower more. A channel that is new begins at the offset. */
  join(filter: TopicFilter, since: number): Channel {
    const key = keyOf(filter);
    let channel = this.#byKey.get(key);
    if (channel === undefined) {
      channel = { key, filter, isMeant: compileTopicFilter(filter), since, live: new Set(), followers: 0 };
      this.#byKey.set(key, channel);
      this.#routes.add(filter, channel);
      this.#wanted.clear();
    }
    channel.followers += 1;
    return channel;
  }

  /** One follower less; a channel without any is gone. */
  leave(channel: Channel): void {
    channel.followers -= 1;
    if (channel.followers > 0) return;
    this.#byKey.delete(channel.key);
    this.#routes.delete(channel.filter, channel);
    this.#wanted.clear();
  }

  /** The channels that the topic is meant for. */
  route(topic: string): Channel[] {
    return [...this.#routes.candidates(topic)].filter(({ isMeant }) => isMeant(topic));
  }

  /** Whether there is any. */
  isWanted(topic: string): boolean {
    let isWanted = this.#wanted.get(topic);
    if (isWanted === undefined) {
      if (this.#wanted.size === WANTED_TOPICS_MAX) this.#wanted.clear();
      isWanted = this.route(topic).length > 0;
      this.#wanted.set(topic, isWanted);
    }
    return isWanted;
  }
}

/** The same for the same filter, and for no other. */
export function keyOf(filter: TopicFilter): string {
  return JSON.stringify(filter);
}
