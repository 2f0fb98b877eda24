export { connectClient } from './client.ts';
export type {
  ArcpClient,
  ClientJob,
  ClientOptions,
  JobEnd,
  ObservedJob,
  ReceivedEvent,
  SessionTicket,
  SubmitOptions,
  SubscribeOptions,
} from './options.ts';
export { connectWebSocket, type WebSocketOptions } from './websocket.ts';
export { createStdioTransport, type StdioTransportOptions } from '../stdio-transport.ts';
export type { Transport, TransportClose, TransportListener } from '../transport.ts';
