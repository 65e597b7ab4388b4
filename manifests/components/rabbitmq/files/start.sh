#!/bin/sh
# Starts a RabbitMQ node. Erlang wants the cookie to be a file that only its owner reads, which a
# mounted Secret cannot be.
set -eu
umask 077
rm -f "$HOME/.erlang.cookie"
cat /passwords/rabbitmq-cookie >"$HOME/.erlang.cookie"
chmod 400 "$HOME/.erlang.cookie"
umask 027
exec rabbitmq-server
