/**
 * Recoverable, persistent message connections between threads, processes and hosts. Begin with {@link Server} and
 * {@link Client}, or with {@link RingChannel} between two threads: what they give is a {@link Connection}.
 *
 * @module tcpshm
 */
export { type Channel, channel, type SendOptions } from './channel/channel.js';
export type { ValueHandler } from './channel/intake.js';
export {
  RingChannel,
  type RingChannelOptions,
  type RingHandle,
  type RingRunOptions,
} from './channel/ringChannel.js';
export { duplex, type StreamOptions, webStreams } from './channel/streams.js';
export { Client, type ClientOptions, type ClientStats } from './client.js';
export { bytesCodec } from './codec/bytes.js';
export type { Codec, MessageSink } from './codec/codec.js';
export {
  type ArrayField,
  array,
  type BytesField,
  bytes,
  type Elements,
  type TextField,
  text,
} from './codec/fields.js';
export { json } from './codec/json.js';
export type { Kind, KindTypes } from './codec/kinds.js';
export { type MsgpackOptions, msgpack } from './codec/msgpack.js';
export {
  type Cursor,
  type Field,
  type Fields,
  type Struct,
  type StructOptions,
  struct,
  type Values,
} from './codec/struct.js';
export { textCodec } from './codec/text.js';
export { Connection, type ConnectionHandlers } from './connection/connection.js';
export type {
  ConnectionState,
  ConnectionStats,
  IncomingStats,
  OutgoingStats,
} from './connection/connectionStats.js';
export type { Watermarks } from './connection/room.js';
export type { SideHandlers } from './connection/side.js';
export type { Tally } from './connection/tally.js';
export { DIAGNOSTIC_CHANNELS } from './diagnostics/channels.js';
export type { Closing, DiagnosticEvents, DiagnosticName, Subject } from './diagnostics/events.js';
export { ERROR_CODES, type ErrorCode, TcpshmError } from './errors.js';
export type { GroupContext, GroupModule } from './group/module.js';
export type { GroupMember } from './group/roster.js';
export type { GroupThreadStats } from './group/threadStats.js';
export type { ConnectOptions } from './login/dial.js';
export type { SharedKey, SharedKeys } from './login/keys.js';
export type { Login, LoginDecision } from './login/loginHost.js';
export type { ReconnectAttempt } from './login/reconnection.js';
export type { PeerCredentials } from './memory/byteStream.js';
export {
  type Audience,
  Broadcaster,
  type BroadcastOptions,
  type BroadcastOutcome,
  SLOW_POLICIES,
  type SlowPolicy,
} from './messaging/broadcast.js';
export {
  type Call,
  type Caller,
  type Load,
  type Method,
  type NoticeOptions,
  type Parts,
  type PartsReader,
  PRIORITIES,
  type Priority,
  type RequestOptions,
  type Shape,
  type Started,
} from './messaging/call.js';
export { type Compression, type CompressionOptions, deflate, zstd } from './messaging/compression.js';
export { Destination } from './messaging/destination.js';
export type { DestinationEvent, DestinationOptions } from './messaging/destinationOptions.js';
export { type DestinationAddresses, hostAddresses, type Resolver } from './messaging/destinationResolver.js';
export { type Messenger, type MessengerCounters, messenger } from './messaging/messenger.js';
export { Relay } from './messaging/relay.js';
export type { Handler, HandlerContext } from './messaging/served.js';
export {
  type MethodDefinition,
  type MethodSchemas,
  type Methods,
  method,
  notice,
  type Service,
  type ServiceCaller,
  type ServiceClient,
  type ServiceHandlers,
  type StandardSchema,
  service,
  streamOf,
} from './messaging/service.js';
export type { MessengerOptions } from './messaging/settings.js';
export { MESSENGER_STATES, type MessengerState } from './messaging/states.js';
export type { CapacityOption, CodecName, PeerOptions, ProtocolOption, WaitOptions } from './options.js';
export type { Run, RunOptions } from './poll/drive.js';
export { IDLE_STRATEGIES, type IdleOptions, type IdleStrategy } from './poll/idling.js';
export type { GroupOptions } from './poll/polledSet.js';
export { ON_CRASH, type PoolSettings, type RingPoolOptions } from './pool/poolOptions.js';
export type { RingPoolStats } from './pool/poolStats.js';
export { RingPool, type RingPoolRunOptions } from './pool/ringPool.js';
export { AbortError, type AbortSource } from './pool/task.js';
export type { RingPortHandle } from './port/carrier.js';
export type { Listener, PortEvent } from './port/listeners.js';
export { type PortOptions, RingPort } from './port/ringPort.js';
export { type RingPortOptions, RingPortPair } from './port/ringPortPair.js';
export type { Message } from './ring/message.js';
export type { ListenOptions } from './server/doors.js';
export { Server } from './server/server.js';
export type { ServerOptions } from './server/serverOptions.js';
export type { ServerStats } from './server/serverStats.js';
export type { BackoffOptions } from './session/backoff.js';
export { DISCONNECT_REASONS, type DisconnectReason } from './session/disconnect.js';
export { DURABILITY_LEVELS, type DurabilityLevel } from './session/durability.js';
export { TRANSPORTS, type Transport } from './session/loginMessages.js';
export type { Point, SequenceNumbers, SideState } from './session/state.js';
export { listSessions, type SessionFile } from './store/sessionFiles.js';
export type { TlsCertificate, TlsPeer } from './wire/identity.js';
export type { TlsConnectOptions, TlsContextOptions, TlsListenOptions } from './wire/tlsOptions.js';
export type { Address } from './wire/wire.js';
export { ConnectionWriter } from './writer/connectionWriter.js';
export type { WriterHandle } from './writer/handle.js';
export type { WriterOptions } from './writer/writers.js';
