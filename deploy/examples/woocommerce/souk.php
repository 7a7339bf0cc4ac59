<?php
/**
 * Plugin Name: Souk
 * Description: Lists of the shop's own Souk program in product pages and the cart; orders and refunds reported to it. docs/storefront.md
 *
 * Copy to wp-content/mu-plugins/souk.php, and set in wp-config.php:
 *   define( 'SOUK_URL', 'http://127.0.0.1:4480' );
 *   define( 'SOUK_TOKEN', trim( file_get_contents( '/etc/souk/token' ) ) );  // a copy of http/token, which only PHP can read
 */

if ( ! defined( 'ABSPATH' ) || ! defined( 'SOUK_URL' ) || ! defined( 'SOUK_TOKEN' ) ) {
	return;
}

/** Asks Souk: the status, 0 if it does not answer in time, and what it says. */
function souk_ask( $method, $path, $body, $timeout ) {
	$answer = wp_remote_request(
		SOUK_URL . $path,
		array(
			'method'  => $method,
			'timeout' => $timeout,
			'headers' => array(
				'Authorization' => 'Bearer ' . SOUK_TOKEN,
				'Content-Type'  => 'application/json',
			),
			'body'    => null === $body ? null : wp_json_encode( $body ),
		)
	);
	return array( (int) wp_remote_retrieve_response_code( $answer ), wp_remote_retrieve_body( $answer ) );
}

/** A list as HTML; '' if there is none now. Lists for everybody are kept for so many seconds; a customer's never are. */
function souk_fragment( $path, $query = array(), $keep = 0 ) {
	$query['link'] = home_url( '/?souk_item={item}' );
	$query['lang'] = 0 === strpos( get_locale(), 'zh' ) ? 'zh' : 'en';
	$path          = $path . '?' . http_build_query( $query );
	$key           = 'souk_' . md5( $path );
	$kept          = $keep > 0 ? get_transient( $key ) : false;
	if ( false !== $kept ) {
		return $kept;
	}
	if ( get_transient( 'souk_is_down' ) ) {
		return '';
	}
	list( $status, $list ) = souk_ask( 'GET', $path, null, 0.3 );
	if ( 0 === $status || $status >= 500 ) {
		// The next pages do not wait for it.
		set_transient( 'souk_is_down', 1, 30 );
	}
	if ( 200 !== $status ) {
		return '';
	}
	if ( $keep > 0 ) {
		set_transient( $key, $list, $keep );
	}
	return $list;
}

/** Whom a list is for, as the shop's order exports name customers: by the billing address. */
function souk_customer() {
	$user = get_current_user_id();
	return $user ? strtolower( (string) get_user_meta( $user, 'billing_email', true ) ) : '';
}

/** SKUs in the cart, by commas. */
function souk_basket() {
	$skus = array();
	foreach ( WC()->cart ? WC()->cart->get_cart() : array() as $line ) {
		$skus[] = $line['data']->get_sku();
	}
	return implode( ',', array_filter( $skus ) );
}

/** [souk_recommendations k="6"]: for the customer who is signed in, else for the cart. Not for pages that a cache keeps. */
function souk_recommendations( $wanted ) {
	$wanted   = shortcode_atts( array( 'k' => 6 ), $wanted );
	$query    = array(
		'k'       => (int) $wanted['k'],
		'explain' => 'true',
	);
	$customer = souk_customer();
	if ( '' !== $customer ) {
		return souk_fragment( '/v1/fragment/recommendations/' . rawurlencode( $customer ), $query );
	}
	$basket = souk_basket();
	if ( '' !== $basket ) {
		$query['basket'] = $basket;
	}
	return souk_fragment( '/v1/fragment/recommendations', $query );
}
add_shortcode( 'souk_recommendations', 'souk_recommendations' );

/** [souk_popular k="6"]: bestsellers. */
function souk_popular( $wanted ) {
	$wanted = shortcode_atts( array( 'k' => 6 ), $wanted );
	return souk_fragment( '/v1/fragment/popular', array( 'k' => (int) $wanted['k'] ), 600 );
}
add_shortcode( 'souk_popular', 'souk_popular' );

/** Under a product: what is bought with it, and what is like it. The HTML comes escaped. */
function souk_under_a_product() {
	global $product;
	$sku = $product ? $product->get_sku() : '';
	if ( '' === $sku ) {
		return;
	}
	foreach ( array( 'bought-together', 'similar' ) as $list ) {
		echo souk_fragment( "/v1/fragment/$list/" . rawurlencode( $sku ), array( 'k' => 4 ), 600 ); // phpcs:ignore
	}
}
add_action( 'woocommerce_after_single_product_summary', 'souk_under_a_product', 25 );

/** Under the cart. */
function souk_under_the_cart() {
	echo souk_recommendations( array( 'k' => 4 ) ); // phpcs:ignore
}
add_action( 'woocommerce_after_cart', 'souk_under_the_cart' );

/** Items of lists lead to the product with that SKU, with the list that they were taken from. */
function souk_follow() {
	if ( ! isset( $_GET['souk_item'] ) ) { // phpcs:ignore
		return;
	}
	$product = wc_get_product_id_by_sku( sanitize_text_field( wp_unslash( $_GET['souk_item'] ) ) ); // phpcs:ignore
	if ( $product && isset( $_GET['souk_list'], WC()->session ) ) { // phpcs:ignore
		$lists             = (array) WC()->session->get( 'souk_lists', array() );
		$lists[ $product ] = substr( sanitize_text_field( wp_unslash( $_GET['souk_list'] ) ), 0, 100 ); // phpcs:ignore
		WC()->session->set( 'souk_lists', array_slice( $lists, -50, null, true ) );
	}
	wp_safe_redirect( $product ? get_permalink( $product ) : home_url( '/' ) );
	exit;
}
add_action( 'template_redirect', 'souk_follow' );

/** The order's line remembers the list. */
function souk_remember_list( $line, $key, $values ) {
	$lists = WC()->session ? (array) WC()->session->get( 'souk_lists', array() ) : array();
	if ( isset( $lists[ $values['product_id'] ] ) ) {
		$line->add_meta_data( '_souk_list', $lists[ $values['product_id'] ], true );
	}
}
add_action( 'woocommerce_checkout_create_order_line_item', 'souk_remember_list', 10, 3 );

/** Reports an order's lines, or a refund's; what is not acknowledged is sent again, and counted once by its id. */
function souk_report( $document_id, $kind, $attempt = 0 ) {
	$document = wc_get_order( $document_id );
	$order    = $document && 'return' === $kind ? wc_get_order( $document->get_parent_id() ) : $document;
	if ( ! $order || '' === $order->get_billing_email() ) {
		return;
	}
	$events = array();
	foreach ( $document->get_items() as $line ) {
		$product  = $line->get_product();
		$quantity = abs( $line->get_quantity() );
		// Without a SKU it is no item of the catalogue.
		if ( ! $product || '' === $product->get_sku() || 0 == $quantity ) {
			continue;
		}
		$event = array(
			'user'     => $order->get_billing_email(),
			'item'     => $product->get_sku(),
			'kind'     => $kind,
			'quantity' => $quantity,
			'price'    => abs( $line->get_total() ) / $quantity,
			'order'    => $order->get_order_number(),
			'id'       => $kind . '-' . $line->get_id(),
		);
		$list  = $line->get_meta( '_souk_list' );
		if ( $list ) {
			$event['list'] = $list;
		}
		$events[] = $event;
	}
	if ( ! $events ) {
		return;
	}
	list( $status, $said ) = souk_ask( 'POST', '/v1/events', $events, 2 );
	if ( 200 !== $status ) {
		// What makes no sense makes none later either.
		if ( 400 !== $status && $attempt < 20 ) {
			wp_schedule_single_event( time() + 600, 'souk_report', array( $document_id, $kind, $attempt + 1 ) );
		} else {
			error_log( "souk: $kind $document_id was not acknowledged ($status); import an export of it: $said" ); // phpcs:ignore
		}
	}
}
add_action( 'souk_report', 'souk_report', 10, 3 );

add_action(
	'woocommerce_order_status_completed',
	function ( $order_id ) {
		souk_report( $order_id, 'purchase' );
	}
);
add_action(
	'woocommerce_order_refunded',
	function ( $order_id, $refund_id ) {
		souk_report( $refund_id, 'return' );
	},
	10,
	2
);
