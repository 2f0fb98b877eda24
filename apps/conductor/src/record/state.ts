/** Who lives, who leads and how many jobs stand where. */
import { killedNodes } from '../http/api-place.ts';
import { LEADERSHIP } from '../leadership.ts';
import { toNodeState } from '../node-state.ts';
import { VERSION } from '../version.ts';
import {
  toKindStatsView,
  toLeadershipView,
  toNodeView,
  toStoreStatsView,
  toTermView,
} from '../views/node-views.ts';
import type { LeaderView, NodeListView, StatusView, StoreStatsView } from '../views/types.ts';
import { type RecordPlace, storeFile } from './record-place.ts';

/**
 * The state of it all.
 *
 * @param place - the record
 * @param answeredBy - the node that answers; `null` when no daemon does
 */
export async function readStatus(place: RecordPlace, answeredBy: string | null): Promise<StatusView> {
  const { config, store, clock } = place;
  const [leadership, { nodes }, stats] = await Promise.all([
    store.leadership(LEADERSHIP),
    readNodes(place),
    store.stats(),
  ]);
  return {
    version: VERSION,
    answeredBy,
    store: storeFile(config),
    isPaused: stats.isPaused,
    leadership: toLeadershipView(leadership, clock.nowMs()),
    nodes,
    kinds: stats.kinds.map(toKindStatsView),
  };
}

/** Every daemon that has given a sign of life and not left. */
export async function readNodes({ config, store, clock }: RecordPlace): Promise<NodeListView> {
  const nodes = await store.nodes();
  const killed = killedNodes(config.settings);
  const nowMs = clock.nowMs();
  const states = nodes.map((node) => toNodeState(node, nowMs));
  return {
    nodes: states.map((state) => toNodeView({ ...state, isLive: state.isLive && !killed.has(state.nodeId) })),
  };
}

/** Who leads and who led. */
export async function readLeader({ store, clock }: RecordPlace): Promise<LeaderView> {
  const leadership = await store.leadership(LEADERSHIP);
  const terms = await store.leadershipTerms(LEADERSHIP, MAX_TERMS);
  return { leadership: toLeadershipView(leadership, clock.nowMs()), terms: terms.map(toTermView) };
}

/** How many jobs stand where. */
export async function readStoreStats({ config, store }: RecordPlace): Promise<StoreStatsView> {
  return toStoreStatsView(storeFile(config), await store.stats());
}

const MAX_TERMS = 10;
