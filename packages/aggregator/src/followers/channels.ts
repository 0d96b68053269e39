import type { TopicFilter } from '../store/event-store.ts';
import { compileTopicFilter } from '../store/topic-filter.ts';
import type { Channel } from './follower.ts';
import { TopicRoutes } from './topic-routes.ts';

/** Topics for which it is remembered whether anybody follows them. */
const WANTED_TOPICS_MAX = 10_000;

/**
 * The channels with followers, one for each filter. In: followers that join and leave. Out: the channels of a topic.
 */
export class Channels {
  readonly #byKey = new Map<string, Channel>();
  readonly #routes = new TopicRoutes<Channel>();
  /** Whether anybody follows a topic now, for some topics; cleared when a channel comes or goes. */
  readonly #wanted = new Map<string, boolean>();

  all(): Iterable<Channel> {
    return this.#byKey.values();
  }

  /** Adds a follower. A new channel begins at the offset `since`. */
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

  /** Removes a follower, and its channel with the last one. */
  leave(channel: Channel): void {
    channel.followers -= 1;
    if (channel.followers > 0) return;
    this.#byKey.delete(channel.key);
    this.#routes.delete(channel.filter, channel);
    this.#wanted.clear();
  }

  /** The channels whose filter the topic passes. */
  route(topic: string): Channel[] {
    return [...this.#routes.candidates(topic)].filter(({ isMeant }) => isMeant(topic));
  }

  /** Whether there is any such channel. */
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

/** Identifies the filter. */
export function keyOf(filter: TopicFilter): string {
  return JSON.stringify(filter);
}
