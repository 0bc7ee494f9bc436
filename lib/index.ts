export { RingChannel, type RingChannelOptions, type RingHandle } from './channel.js';
export { Connection, type ConnectionHandlers, type ConnectionState } from './connection.js';
export { ERROR_CODES, type ErrorCode, TcpshmError } from './errors.js';
export type { Message } from './ring/message.js';
export { DISCONNECT_REASONS, type DisconnectReason } from './session/disconnect.js';
