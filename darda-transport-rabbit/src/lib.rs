//! Darda's broker on RabbitMQ.
